/** One look at work that is under way. */
export interface Look {
  /** What is being done: `Sealing`. */
  readonly stage: string;
  readonly done: number;
  /** Absent where nobody knows how much there is. */
  readonly total?: number;
  readonly unit: 'rows' | 'bytes';
  /** Since the stage began, and how much had been done then. */
  readonly elapsedMs: number;
  readonly doneAtStart: number;
}

const BAR_CELLS = 24;
/** Before this a rate is a guess. */
const RATE_AFTER_MS = 500;

/** `Sealing  [########------------]  40 %  348,000 of 872,795 rows  46,210/s  11 s left`; without the bar for logs. */
export function progressLine(look: Look, withBar: boolean): string {
  const { stage, done, total, unit } = look;
  const words = [stage];
  if (total !== undefined && total > 0) {
    const share = Math.min(1, done / total);
    if (withBar) words.push(`[${'#'.repeat(Math.floor(share * BAR_CELLS)).padEnd(BAR_CELLS, '-')}]`);
    words.push(`${Math.floor(share * 100)} %`, `${amount(done, unit)} of ${amount(total, unit)}`);
  } else if (done > 0) {
    words.push(amount(done, unit));
  }
  const rate = rateOf(look);
  if (rate > 0) words.push(`${amount(Math.round(rate), unit)}/s`);
  if (rate > 0 && total !== undefined && total > done) words.push(`${duration((total - done) / rate)} left`);
  return words.join('  ');
}

/** Per second; 0 while it is not known. */
function rateOf({ done, doneAtStart, elapsedMs }: Look): number {
  return elapsedMs < RATE_AFTER_MS ? 0 : ((done - doneAtStart) * 1_000) / elapsedMs;
}

function amount(count: number, unit: Look['unit']): string {
  return unit === 'rows' ? `${thousands(count)} rows` : bytes(count);
}

/** 872795 as 872,795: by hand, so that no locale of the machine changes what is printed. */
export function thousands(count: number): string {
  return String(count).replace(/\B(?=(\d{3})+$)/g, ',');
}

export function bytes(count: number): string {
  if (count < 1_024) return `${count} B`;
  if (count < 1_048_576) return `${(count / 1_024).toFixed(1)} KiB`;
  if (count < 1_073_741_824) return `${(count / 1_048_576).toFixed(1)} MiB`;
  return `${(count / 1_073_741_824).toFixed(2)} GiB`;
}

export function duration(seconds: number): string {
  const whole = Math.ceil(seconds);
  if (whole < 60) return `${whole} s`;
  if (whole < 3_600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  return `${Math.floor(whole / 3_600)} h ${Math.floor((whole % 3_600) / 60)} min`;
}
