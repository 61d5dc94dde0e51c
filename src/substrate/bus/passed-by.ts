import type { TopicPartition } from './bus.port.js';

/**
 * Records of each partition that held nothing for a unit since its position was noted. A batch of such may go without a commit of its own until there
 * are too many: whoever comes again passes them by again.
 */
export class PassedBy {
  readonly #records = new Map<string, number>();

  constructor(private readonly max: number) {}

  /** Whether a batch of so many may go without its position being noted. */
  mayPass({ topic, partition }: TopicPartition, records: number): boolean {
    const name = `${topic} ${partition}`;
    const passed = (this.#records.get(name) ?? 0) + records;
    if (passed > this.max) return false;
    this.#records.set(name, passed);
    return true;
  }

  /** The position of the partition was noted, or is read anew. */
  noted({ topic, partition }: TopicPartition): void {
    this.#records.delete(`${topic} ${partition}`);
  }
}
