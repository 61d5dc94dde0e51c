import { randomUUID } from 'node:crypto';
import { ARCHIVE_POLICY, type ArchivePolicy } from '../../src/modules/run-operate/archive/archive.policy.js';
import { ArchiveService } from '../../src/modules/run-operate/archive/archive.service.js';
import { ArchiveSignals } from '../../src/modules/run-operate/archive/archive.signals.js';
import { ArchiveStore } from '../../src/modules/run-operate/archive/archive.store.js';
import { ArchiveVerificationService } from '../../src/modules/run-operate/archive/archive-verification.service.js';
import { ArchiveWriter } from '../../src/modules/run-operate/archive/archive.writer.js';
import { GovernanceFacts } from '../../src/modules/run-operate/governance-facts.js';
import { OperationFacts } from '../../src/modules/run-operate/operation-facts.js';
import { Leases } from '../../src/modules/run-operate/leases.js';
import type { JsonObject } from '../../src/rails/canonical-json.js';
import { sealPolicy } from '../../src/rails/policy-rev.js';
import { About } from '../../src/substrate/about.js';
import type { Bus, TopicName } from '../../src/substrate/bus/bus.port.js';
import type { Clock } from '../../src/substrate/clock/clock.port.js';
import type { Database } from '../../src/substrate/database/database.port.js';
import type { Objects } from '../../src/substrate/objects/objects.port.js';
import { StaticPolicies } from '../../src/substrate/policy/policy.port.js';
import { recordedTelemetry } from '../support/telemetry.js';

export interface ArchiveOptions {
  readonly database: Database;
  readonly bus: Bus;
  readonly objects: Objects;
  readonly clock: Clock;
  readonly topics: readonly TopicName[];
  readonly policy?: Partial<ArchivePolicy>;
}

/** One process that archives. Nothing runs by itself: `round` is one look, `all` goes on until everything is in chunks. */
export function openArchive({ database, bus, objects, clock, topics, policy = {} }: ArchiveOptions) {
  const { telemetry, metricsText, lines } = recordedTelemetry();
  const body = {
    ...{ topics, chunk_records_max: 10, chunk_bytes_max: 1_000_000, chunk_age_ms: 0 },
    ...policy,
  };
  const sealed = sealPolicy(ARCHIVE_POLICY.policy_id, 1, body as unknown as JsonObject);
  const policies = new StaticPolicies(new Map([[ARCHIVE_POLICY.policy_id, sealed]]));
  const store = new ArchiveStore(database);
  const about = new About('1.0.0', 'test', 1);
  const leases = new Leases(database, about);
  const facts = new OperationFacts(new GovernanceFacts(), about);
  const signals = new ArchiveSignals(telemetry);
  const writer = new ArchiveWriter(store, leases, facts, bus, objects, policies, signals, clock, telemetry);
  const service = new ArchiveService(store, objects);
  const verifications = new ArchiveVerificationService(service, store, clock, telemetry);
  const all = async (): Promise<number> => {
    let written = 0;
    for (let now = await writer.round(false); now > 0; now = await writer.round(false)) written += now;
    return written;
  };
  return { store, leases, writer, service, verifications, policies, metricsText, lines, all };
}

/** Appends texts to one partition, a batch per call. */
export async function appended(
  bus: Bus,
  topic: TopicName,
  partition: number,
  values: readonly (string | Uint8Array)[],
): Promise<void> {
  const producer = await bus.openProducer({ name: `archive-test-${randomUUID()}` });
  const records = values.map((value, at) => ({
    key: `k-${at}`,
    value: Buffer.from(value),
    headers: { at: String(at) },
  }));
  await producer.append([{ topic, partition, records }]);
  await producer.close();
}
