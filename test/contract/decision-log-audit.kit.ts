import { AuditObjects } from '../../src/modules/decision-log-audit/audit-objects.js';
import { AuditSignals } from '../../src/modules/decision-log-audit/audit.signals.js';
import { AuditVerificationService } from '../../src/modules/decision-log-audit/audit-verification.service.js';
import { AuditWriter } from '../../src/modules/decision-log-audit/audit.writer.js';
import { DecisionLogAuditConsumer } from '../../src/modules/decision-log-audit/decision-log-audit.consumer.js';
import { DecisionLogAuditController } from '../../src/modules/decision-log-audit/decision-log-audit.controller.js';
import { AUDIT_POLICY } from '../../src/modules/decision-log-audit/decision-log-audit.policy.js';
import { DecisionLogAuditService } from '../../src/modules/decision-log-audit/decision-log-audit.service.js';
import { DecisionLogAuditStore } from '../../src/modules/decision-log-audit/decision-log-audit.store.js';
import { sealPolicy } from '../../src/rails/policy-rev.js';
import { noteSigner, signingKeyText } from '../../src/rails/tlog/note.js';
import {
  Bus,
  type BusReader,
  type BusRecord,
  type Offset,
  type PartitionMarks,
  type Position,
  type RecordBatch,
  type TransactionalAppend,
} from '../../src/substrate/bus/bus.port.js';
import { ManualClock } from '../../src/substrate/clock/manual.clock.js';
import type { Database } from '../../src/substrate/database/database.port.js';
import type { Objects, PutOptions, PutResult } from '../../src/substrate/objects/objects.port.js';
import { StaticPolicies } from '../../src/substrate/policy/policy.port.js';
import { LogSigner } from '../../src/substrate/signing/log-signer.js';
import { recordedTelemetry } from '../support/telemetry.js';
import { batchOf, type Log, recordOf, runPins, TRAFFIC } from './feature-plane.kit.js';

export const SIGNER = noteSigner(signingKeyText('test/audit', Buffer.alloc(32, 3)));

/** A store whose puts fail from the nth on, as those of a process that is killed do. */
export function dyingAfter(objects: Objects, puts: number): Objects {
  let left = puts;
  return new Proxy(objects, {
    get(target, name) {
      if (name !== 'putIfAbsent') {
        const member = Reflect.get(target, name) as unknown;
        return typeof member === 'function' ? (member.bind(target) as unknown) : member;
      }
      return async (...args: [never, Uint8Array, PutOptions]): Promise<PutResult> => {
        if (left <= 0) throw new Error('killed');
        left -= 1;
        return await target.putIfAbsent(...args);
      };
    },
  });
}

/** The topic as arrays. */
export class ArrayBus extends Bus {
  readonly kind = 'arrays';
  readonly transactional?: TransactionalAppend;

  constructor(private readonly logs: readonly Log[]) {
    super();
  }

  marks(): Promise<readonly PartitionMarks[]> {
    return Promise.resolve(
      this.logs.map(({ topic, partition, records }) => ({
        topic,
        partition,
        lowWater: 0 as Offset,
        highWater: ((records.at(-1)?.offset ?? -1) + 1) as Offset,
      })),
    );
  }

  openReader([at]: readonly Position[]): Promise<BusReader> {
    const log = this.logs.find(({ partition }) => partition === at?.partition);
    let from = at?.offset ?? 0;
    return Promise.resolve({
      poll: ({ recordsMax }: { recordsMax: number }): Promise<readonly RecordBatch[]> => {
        const batch = log === undefined ? undefined : batchOf(log, from, recordsMax);
        if (batch === undefined || batch.records.length === 0) return Promise.resolve([]);
        from = batch.nextOffset;
        return Promise.resolve([batch]);
      },
      close: () => Promise.resolve(),
    });
  }

  ensureTopics = (): never => this.#nobody();
  partitionsOf = (): never => this.#nobody();
  offsetsAt = (): never => this.#nobody();
  trim = (): never => this.#nobody();
  openProducer = (): never => this.#nobody();
  openConsumer = (): never => this.#nobody();
  health = (): never => this.#nobody();
  close = (): Promise<void> => Promise.resolve();

  #nobody(): never {
    throw new Error('nobody asks here');
  }
}

/** Events as anybody's, spread over partitions. */
export function logsOf(partitions: number, records: number): readonly Log[] {
  const pins = runPins('audit');
  return Array.from({ length: partitions }, (_, partition) => ({
    topic: TRAFFIC,
    partition,
    records: Array.from({ length: records }, (__, at): BusRecord => {
      const event = {
        ...pins,
        event_id: `e-${partition}-${at}`,
        event_type: 'transaction',
        schema_version: 'v1',
        producer: 'wsp',
        ts_utc: '2018-04-01T00:00:31.000000Z',
        payload: { transaction_id: `t-${partition}-${at}`, amount_minor: at },
      };
      // Offsets may have gaps.
      return { ...recordOf(event, at * 2), key: `card-${at % 5}` };
    }),
  }));
}

/** One life of the unit over what stands in database and objects. */
export async function life(database: Database, objects: Objects, logs: readonly Log[]) {
  const telemetry = recordedTelemetry();
  const clock = new ManualClock();
  const policies = new StaticPolicies(
    new Map([
      [
        AUDIT_POLICY.policy_id,
        sealPolicy('dla.audit', 1, { checkpoint_leaves_max: 700, checkpoint_wait_ms: 1_000 } as never),
      ],
    ]),
  );
  const store = new DecisionLogAuditStore(database);
  const files = new AuditObjects(objects);
  const signer = new LogSigner(() => SIGNER);
  const signals = new AuditSignals(telemetry.telemetry, clock);
  const writer = new AuditWriter(store, files, signer, policies, signals, clock, telemetry.telemetry);
  const verifications = new AuditVerificationService(files, signer, new ArrayBus(logs), clock, telemetry.telemetry);
  await writer.onModuleInit();
  return {
    store,
    files,
    writer,
    verifications,
    telemetry,
    consumer: new DecisionLogAuditConsumer(store, writer, signals, telemetry.telemetry),
    service: new DecisionLogAuditService(store, files),
    controller: new DecisionLogAuditController(store, files, signer, verifications),
  };
}
