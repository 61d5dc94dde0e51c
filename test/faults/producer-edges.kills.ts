import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from '@jest/globals';
import { boot } from '../../src/app/boot.js';
import { openDataFolder } from '../../src/app/data-folder.js';
import { loadProfile } from '../../src/app/profile.js';
import { policyKindsOf } from '../../src/app/unit-table.js';
import { UNITS } from '../../src/app/units.js';
import { type EdgesReport } from '../../src/modules/producer-edges/edges-status.js';
import { type EdgesPolicy } from '../../src/modules/producer-edges/producer-edges.policy.js';
import { TRAFFIC_TOPIC } from '../../src/modules/ingestion-gate/ingestion-gate.port.js';
import { type JsonValue } from '../../src/rails/canonical-json.js';
import { asOffset, asTopicName } from '../../src/rails/eb-ref.js';
import { sealPolicy } from '../../src/rails/policy-rev.js';
import { type Bus, type OutgoingRecord, type Position } from '../../src/substrate/bus/bus.port.js';
import { Captured } from '../support/cli.js';
import { scratchDataFolder } from '../support/data-folder.js';
import { eventually } from '../support/eventually.js';
import { Http } from '../support/http.js';
import { seeded } from '../support/kafka-log.js';
import { ScratchProfile } from '../support/profiles.js';
import { Program } from '../support/program.js';
import { putLiveRun } from '../support/run-facts.js';

export interface EdgeKillPlan {
  readonly seed: number;
  readonly records: number;
  readonly kills: number;
  /** Makes the profile that both processes share stand on something else than the embedded parts. */
  readonly prepare?: (profile: ScratchProfile) => void;
  readonly topic: string;
}

const PARTITIONS = 3;

/**
 * A topic of somebody else is read by the unit in a process of its own, which is killed at moments from a seed and started
 * again, while the gate stands in this one. At the end each record has been counted once and stands once on the traffic topic.
 */
export async function consumeUnderKills({ seed, records, kills, prepare, topic }: EdgeKillPlan): Promise<void> {
  const random = seeded(seed);
  const folder = scratchDataFolder('edge kills');
  const profile = new ScratchProfile();
  prepare?.(profile);
  putPolicy(profile, {
    http: [],
    sources: [{ producer: 'payments-api', topic, group: topic, start: 'earliest', run_equivalence_key: topic }],
  });
  const gate = await boot({
    table: UNITS,
    selected: UNITS.units.filter(({ role }) => role === 'ig'),
    profile: loadProfile(profile.folder, policyKindsOf(UNITS)),
    folder: openDataFolder(folder),
    port: 0,
    logs: new Captured(),
  });
  const key = readFileSync(join(folder, 'keys', 'operator.key'), 'utf8').trim();
  const edge = (): Program => new Program({ main: 'product', role: 'edge', data: folder, profile: profile.folder });
  let process = edge();
  try {
    const { run_id } = await putLiveRun(gate.parts.objects, { key: topic, scenario: 'live' });
    await fill(gate.parts.bus, topic, records);
    for (let kill = 0; kill < kills; kill += 1) {
      const url = await process.url();
      const before = taken(await reportOf(url, key));
      // Into the midst of the work: some of it is done since the start, and the rest not yet.
      await eventually(
        async () => taken(await reportOf(url, key)),
        (now) => now > before || now === records,
        60_000,
      );
      await new Promise((resolve) => setTimeout(resolve, random() * 60));
      await process.end('SIGKILL');
      process = edge();
    }
    const url = await process.url();
    const report = await eventually(
      () => reportOf(url, key),
      (now) => taken(now) >= records,
      120_000,
    );
    const [source] = report.sources;
    expect(source?.counts).toMatchObject({ quarantined: 0, unreadable: PARTITIONS });
    expect((source?.counts.admitted ?? 0) + (source?.counts.duplicate ?? 0)).toBe(records - PARTITIONS);
    const ids = await idsOnTopic(gate.parts.bus, run_id);
    expect([ids.length, new Set(ids).size]).toEqual([records - PARTITIONS, records - PARTITIONS]);
  } finally {
    await process.end('SIGTERM');
    await gate.stop();
    profile.remove();
    rmSync(folder, { recursive: true, force: true });
  }
}

export function putPolicy(profile: ScratchProfile, policy: EdgesPolicy): void {
  const { policy_rev, body } = sealPolicy('edge.producers', 1, policy as unknown as JsonValue);
  writeFileSync(join(profile.folder, 'policy', 'edge.producers.yaml'), JSON.stringify({ ...policy_rev, body }));
}

async function fill(bus: Bus, topic: string, records: number): Promise<void> {
  const name = asTopicName(topic);
  await bus.ensureTopics([{ topic: name, partitions: PARTITIONS, recordBytesMax: 10_000, retentionMs: null }]);
  const producer = await bus.openProducer({ name: topic });
  const parts = Array.from({ length: PARTITIONS }, (): OutgoingRecord[] => []);
  for (let number = 0; number < records; number += 1) {
    const text =
      number < PARTITIONS
        ? 'no transaction'
        : JSON.stringify({
            transaction_id: `t-${number}`,
            occurred_at: '2026-03-01T12:00:00Z',
            amount: '1.00',
            currency: 'EUR',
            card_id: `c-${number % 97}`,
          });
    parts[number % PARTITIONS]?.push({ key: null, value: Buffer.from(text), headers: {} });
  }
  for (let from = 0; from * PARTITIONS < records; from += 500) {
    await producer.append(
      parts.flatMap((part, partition) => {
        const some = part.slice(from, from + 500);
        return some.length === 0 ? [] : [{ topic: name, partition, records: some }];
      }),
    );
  }
  await producer.close();
}

async function reportOf(url: string, key: string): Promise<EdgesReport> {
  return (await new Http(url, key).get('/v1/edges')).body as EdgesReport;
}

function taken({ sources }: EdgesReport): number {
  const { admitted = 0, duplicate = 0, quarantined = 0, unreadable = 0 } = sources[0]?.counts ?? {};
  return admitted + duplicate + quarantined + unreadable;
}

/** Every event id of the run on the traffic topic, as often as it stands there. */
async function idsOnTopic(bus: Bus, runId: string): Promise<readonly string[]> {
  const marks = await bus.marks(asTopicName(TRAFFIC_TOPIC));
  const ends = new Map(marks.map(({ partition, highWater }) => [partition, highWater]));
  const reader = await bus.openReader(
    marks.map(({ topic, partition, lowWater }): Position => ({ topic, partition, offset: asOffset(lowWater) })),
  );
  const ids: string[] = [];
  const open = new Set(
    marks.filter(({ lowWater, highWater }) => lowWater < highWater).map(({ partition }) => partition),
  );
  while (open.size > 0) {
    for (const { partition, records, nextOffset } of await reader.poll({ recordsMax: 5_000, waitMs: 1_000 })) {
      for (const { value } of records) {
        const { event_id, run_id } = JSON.parse(Buffer.from(value).toString('utf8')) as Record<string, string>;
        if (run_id === runId && event_id !== undefined) ids.push(event_id);
      }
      if (nextOffset >= (ends.get(partition) ?? 0)) open.delete(partition);
    }
  }
  await reader.close();
  return ids;
}
