/** A step of the demo that failed, told so that the reader knows what to do now. */
export class DemoFailure extends Error {
  override readonly name = 'DemoFailure';
  /** The next step, for people. */
  readonly next: string;

  constructor(what: string, next: string) {
    super(what);
    this.next = next;
  }
}
