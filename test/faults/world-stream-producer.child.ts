import { schemaName } from '../../src/substrate/database/roles.js';
import {
  IngestionGatePort,
  type SubmitResult,
  type SubmitResultSchema,
} from '../../src/modules/ingestion-gate/ingestion-gate.port.js';
import type { Static } from '@sinclair/typebox';
import { SystemClock } from '../../src/substrate/clock/system.clock.js';
import { FilesObjects } from '../../src/substrate/objects/files.objects.js';
import { type MadeRun, Producer } from '../contract/world-stream-producer.kit.js';
import { openTestServer, type TestDatabaseAddress } from '../support/database.js';

/** What a child of the kill tests is told: as JSON, in its first argument. */
export interface ChildOrder {
  readonly place: TestDatabaseAddress;
  readonly folder: string;
  readonly run_id: string;
  readonly leaseMs: number;
  readonly batchEventsMax: number;
}

/** One call of the gate, which lives in the parent: what it has counted outlives the child. */
export interface GateCall {
  readonly call: number;
  readonly events: readonly string[];
}
export interface GateAnswer {
  readonly call: number;
  readonly results: readonly SubmitResult[];
}

class ParentGate extends IngestionGatePort {
  readonly #waiting = new Map<number, (answer: GateAnswer) => void>();
  #calls = 0;

  constructor() {
    super();
    process.on('message', (answer: GateAnswer) => this.#waiting.get(answer.call)?.(answer));
  }

  async submit({ events }: { readonly events: readonly string[] }) {
    const call = (this.#calls += 1);
    const answered = new Promise<GateAnswer>((resolve) => this.#waiting.set(call, resolve));
    process.send?.({ call, events } satisfies GateCall);
    const { results } = await answered;
    this.#waiting.delete(call);
    return { results: results as Static<typeof SubmitResultSchema>[] };
  }

  receipts(): never {
    throw new Error('not asked for');
  }

  reconcile(): never {
    throw new Error('not asked for');
  }
}

/** A process that streams until it is killed. */
async function main(): Promise<void> {
  // The parent wrote it with JSON.stringify from this type.
  const order = JSON.parse(process.argv[2] ?? '') as ChildOrder;
  const server = openTestServer(order.place);
  const producer = new Producer({
    database: { forSchema: (schema) => server.forSchema(schemaName(schema)) },
    objects: await FilesObjects.open(order.folder, new SystemClock()),
    gate: new ParentGate(),
    timings: { leaseMs: order.leaseMs, checkpointMs: 5 },
    policy: { batch_events_max: order.batchEventsMax },
  });
  producer.service.onApplicationBootstrap();
  await producer.start({ run_id: order.run_id } as MadeRun);
}

await main();
