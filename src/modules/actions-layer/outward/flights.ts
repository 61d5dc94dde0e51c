import type { Report } from './work.store.js';

/** Attempts at one target that are under way, and how those ended that nobody was told of yet. */
export class Flights {
  readonly ended: Report[] = [];
  readonly #open = new Set<Promise<void>>();

  get size(): number {
    return this.#open.size;
  }

  /** @param onFailure of an attempt that ended without a report */
  begin(attempt: Promise<Report>, onFailure: (error: unknown) => void): void {
    const flight: Promise<void> = attempt
      .then((report) => void this.ended.push(report), onFailure)
      .finally(() => this.#open.delete(flight));
    this.#open.add(flight);
  }

  async allEnded(): Promise<void> {
    await Promise.all(this.#open);
  }
}
