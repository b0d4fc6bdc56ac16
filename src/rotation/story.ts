import type { EventReason } from '../api/vocabulary.ts';
import type { MemberKey } from './facts.ts';

export interface Chapter {
  readonly type: 'Normal' | 'Warning';
  readonly reason: EventReason;
  readonly note: string;
}

/** Collects what one transition has to tell, as events that read as a story. Many joiners are one event. */
export class Story {
  readonly #chapters: Chapter[] = [];
  readonly #joined: MemberKey[] = [];

  tell(type: Chapter['type'], reason: EventReason, note: string): void {
    this.#chapters.push({ type, reason, note });
  }

  joined(member: MemberKey): void {
    this.#joined.push(member);
  }

  /** Claims that a decision rests on: each is told, for nobody has seen what it says. */
  acknowledged(claims: readonly string[]): void {
    for (const claim of claims) this.tell('Normal', 'Acknowledged', claim);
  }

  chapters(): readonly Chapter[] {
    if (this.#joined.length === 0) return this.#chapters;
    return [
      ...this.#chapters,
      { type: 'Normal', reason: 'MemberJoined', note: `${names(this.#joined)} joined the mesh` },
    ];
  }
}

export function names(members: readonly MemberKey[]): string {
  const shown = members.slice(0, 5).join(', ');
  return members.length > 5 ? `${shown} and ${members.length - 5} more` : shown;
}

export function namespaceOf(member: MemberKey): string {
  return member.slice(0, member.indexOf('/'));
}
