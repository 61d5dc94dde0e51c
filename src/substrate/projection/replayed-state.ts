import { type Basis, nextOffset } from '../../rails/basis.js';
import { asTopicName } from '../../rails/eb-ref.js';
import { LabelSchema } from '../../rails/events/label.schema.js';
import { readEvent } from '../../rails/events/read-event.js';
import type { FeatureEvent } from '../../rails/features/event-table.js';
import type { Cut } from '../../rails/features/feature-state.js';
import { type LabelFact, labelFactOf } from '../../rails/features/label-table.js';
import { isNoWorld } from '../../rails/pins.js';
import { validatorOf } from '../../rails/validator.js';
import type { BusRecord } from '../bus/bus.port.js';

const TRAFFIC = asTopicName('fp.bus.traffic.v1');
const CONTROL = asTopicName('fp.bus.control.v1');
const labels = validatorOf(LabelSchema, 'the label');

/** What a projector keeps, without the projector. */
export interface FoldedState {
  apply(events: readonly FeatureEvent[]): void;
  applyLabels(facts: readonly LabelFact[]): void;
}

/** One partition's records, one after the other: of the log itself, or of a copy of it. */
export interface RecordCursor {
  readonly partition: number;
  /** The next record, if it is at hand; nobody need wait for it. */
  readonly head: BusRecord | undefined;
  /** The next record without taking it; undefined at the end. */
  peek(): Promise<BusRecord | undefined>;
  /** Goes past the record that `head` or `peek` gave. */
  skip(): void;
}

export interface ReplayedStateOptions<State extends FoldedState> {
  readonly state: State;
  readonly runId: string;
  readonly usable: (event: FeatureEvent) => boolean;
  readonly events: readonly RecordCursor[];
  readonly facts: readonly RecordCursor[];
}

/** A state that is folded from the log again, as far as the bases say that are asked for. */
export class ReplayedState<State extends FoldedState> {
  readonly state: State;
  readonly #applied = new Map<string, number>();

  constructor(private readonly options: ReplayedStateOptions<State>) {
    this.state = options.state;
  }

  async upTo(basis: Basis): Promise<void> {
    const { events, facts } = this.options;
    for (const [topic, cursors] of [
      [TRAFFIC, events],
      [CONTROL, facts],
    ] as const) {
      for (const cursor of cursors) {
        const end = nextOffset(basis, topic, cursor.partition);
        for (;;) {
          const record = cursor.head ?? (await cursor.peek());
          if (record === undefined || record.offset >= end) break;
          cursor.skip();
          const read = readEvent(record.value);
          if (!read.ok || isNoWorld(read.event.pins) || read.event.pins.run_id !== this.options.runId) continue;
          const { eventId, eventType, ts, payload } = read.event;
          const at = { partition: cursor.partition, offset: record.offset };
          if (topic === TRAFFIC) this.#event({ eventId, eventType, ts, ...at, payload });
          else if (eventType === 'label') this.#fact(payload, at);
        }
        const name = `${topic} ${cursor.partition}`;
        this.#applied.set(name, Math.max(end, this.#applied.get(name) ?? 0));
      }
    }
  }

  /** undefined where the state has seen exactly what the basis says, which is nearly always. */
  cutTo(basis: Basis): Cut | undefined {
    const beyond = [...this.#applied].some(([name, applied]) => {
      const [topic = '', partition = ''] = name.split(' ');
      return applied > nextOffset(basis, topic, Number(partition));
    });
    if (!beyond) return undefined;
    return {
      event: (partition, offset) => offset < nextOffset(basis, TRAFFIC, partition),
      label: ({ partition, offset }) => offset < nextOffset(basis, CONTROL, partition),
    };
  }

  #event(event: FeatureEvent): void {
    if (this.options.usable(event)) this.state.apply([event]);
  }

  #fact(payload: unknown, at: Pick<LabelFact, 'partition' | 'offset'>): void {
    const checked = labels.check(payload);
    const fact = checked.ok ? labelFactOf(checked.value, at) : null;
    if (fact !== null) this.state.applyLabels([fact]);
  }
}
