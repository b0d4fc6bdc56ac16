import type { Stage, View } from './view.ts';

/** Handshakes of each edge, by the stage in which they were made. */
export class StageCounts {
  readonly #counts = new Map<string, Record<Stage, number>>();
  #before: View | null = null;

  /** Takes the views of a rotation one after the other. What was done between two belongs to the stage of the first. */
  add(view: View): void {
    const stage = this.#before?.rotation?.stage;
    for (const { name, edges } of view.members) {
      const earlier = this.#before?.members.find((member) => member.name === name);
      for (const { to, handshakes } of edges) {
        const known = earlier?.edges.find((edge) => edge.to === to)?.handshakes.ok ?? 0;
        if (stage !== undefined) this.of(name, to)[stage] += handshakes.ok - known;
      }
    }
    this.#before = view;
  }

  of(from: string, to: string): Record<Stage, number> {
    const key = `${from}/${to}`;
    const counts = this.#counts.get(key) ?? { Append: 0, Roll: 0, Drop: 0 };
    this.#counts.set(key, counts);
    return counts;
  }
}

/** What had been sent over an edge at the moment of a view. */
export function sentOver(view: View, from: string, to: string): number {
  const edges = view.members.find(({ name }) => name === from)?.edges ?? [];
  return edges.find((edge) => edge.to === to)?.sentBytes ?? 0;
}

/** Whether all that had been sent at one moment has been acknowledged at a later one. */
export function hasArrived(sent: View, now: View): boolean {
  return now.members.every(({ name, edges }) =>
    edges.every(({ to, ackedBytes }) => ackedBytes >= sentOver(sent, name, to)),
  );
}
