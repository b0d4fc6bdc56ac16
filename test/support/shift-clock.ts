/** Preloaded with `node --import`: the process that it is loaded into reads the time SHIFT_CLOCK_BY_MS later than it is. */
const by = Number(process.env['SHIFT_CLOCK_BY_MS']);
const RealDate = Date;

class ShiftedDate extends RealDate {
  constructor(...args: [] | ConstructorParameters<DateConstructor>) {
    if (args.length === 0) super(RealDate.now() + by);
    else super(...args);
  }

  static override now(): number {
    return RealDate.now() + by;
  }
}

globalThis.Date = ShiftedDate as DateConstructor;
