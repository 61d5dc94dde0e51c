import type { Clock } from '../../substrate/clock/clock.port.js';
import { progressLine, type Look } from './progress.core.js';

/** Where progress is written: standard error, so that standard output holds the answer alone. */
export interface Screen {
  readonly isTty: boolean;
  write(text: string): void;
}

export interface Progress {
  /** What is being done, and how far it is. Cheap: call it as often as there is news. */
  at(stage: string, done: number, total?: number, unit?: Look['unit']): void;
  /** A line that stays. */
  say(line: string): void;
  /** Takes the bar away: whatever is written next begins on a line of its own. */
  clear(): void;
}

/** A bar is drawn at most so often, and where nobody looks at a screen a line is written every few seconds. */
const REDRAW_MS = 100;
const LINE_MS = 5_000;

/** Nothing at all where there is no screen: in JSON mode standard error is for problems. */
export function openProgress(screen: Screen | undefined, clock: Clock): Progress {
  return screen === undefined ? SILENT : new ScreenProgress(screen, clock);
}

const SILENT: Progress = { at: () => undefined, say: () => undefined, clear: () => undefined };

class ScreenProgress implements Progress {
  #stage = '';
  #startedMs = 0;
  #doneAtStart = 0;
  #writtenMs = -Infinity;
  #barShown = false;

  constructor(
    private readonly screen: Screen,
    private readonly clock: Clock,
  ) {}

  at(stage: string, done: number, total?: number, unit: Look['unit'] = 'rows'): void {
    const nowMs = this.clock.monotonicMs();
    const isNew = stage !== this.#stage;
    if (isNew) {
      this.#stage = stage;
      this.#startedMs = nowMs;
      this.#doneAtStart = done;
    }
    const everyMs = this.screen.isTty ? REDRAW_MS : LINE_MS;
    if (!isNew && nowMs - this.#writtenMs < everyMs) return;
    this.#writtenMs = nowMs;
    const elapsedMs = nowMs - this.#startedMs;
    const look = { stage, done, unit, elapsedMs, doneAtStart: this.#doneAtStart };
    const line = progressLine(total === undefined ? look : { ...look, total }, this.screen.isTty);
    if (this.screen.isTty) {
      this.screen.write(`\r${line}\u001b[K`);
      this.#barShown = true;
    } else {
      this.screen.write(`${line}\n`);
    }
  }

  say(line: string): void {
    this.clear();
    this.screen.write(`${line}\n`);
  }

  clear(): void {
    if (this.#barShown) this.screen.write('\r\u001b[K');
    this.#barShown = false;
  }
}
