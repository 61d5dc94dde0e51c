import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';
import { packOf } from '../../src/modules/data-engine/generate/pack.core.js';
import { PACKS } from '../../src/modules/data-engine/generate/packs.js';
import { World } from '../../src/modules/data-engine/generate/world.js';
import type { UnsealedRow, UnsealedTruth } from '../../src/modules/data-engine/world-source.js';
import { RunningDigest } from '../../src/rails/digest.js';
import type { Offset } from '../../src/rails/eb-ref.js';
import type { EventId, EventType } from '../../src/rails/envelope.schema.js';
import type { FeatureDefinitions } from '../../src/rails/features/definition.schema.js';
import type { FeatureEvent } from '../../src/rails/features/event-table.js';
import { FeatureState } from '../../src/rails/features/feature-state.js';
import type { LabelFact } from '../../src/rails/features/label-table.js';
import { planOf } from '../../src/rails/features/plan.js';
import { toEpochMicros } from '../../src/rails/time.js';

/** One payment as a decision would have seen it, and what it was. */
export interface Example {
  readonly values: ReadonlyMap<string, number>;
  readonly isFraud: boolean;
}

export interface Examples {
  readonly rows: readonly Example[];
  /** Of everything that the examples were made of. */
  readonly digest: string;
}

export function shippedDefinitions(): FeatureDefinitions {
  const file = join(process.cwd(), 'profiles', 'local', 'policy', 'ofp.features.yaml');
  return (parse(readFileSync(file, 'utf8')) as { readonly body: FeatureDefinitions }).body;
}

/**
 * Worlds from seeds, each payment with the features that the platform would have served before it: in order of event time, with every label at the time
 * when it became known and not before (law R10). What is learnt is the truth of the world, which no feature ever sees.
 */
export function examplesOf(seeds: readonly string[], pack: string, definitions: FeatureDefinitions): Examples {
  const digest = new RunningDigest();
  const rows = seeds.flatMap((seed) => examplesOfWorld(seed, pack, definitions, digest));
  return { rows, digest: digest.finish() };
}

function examplesOfWorld(
  seed: string,
  pack: string,
  definitions: FeatureDefinitions,
  digest: RunningDigest,
): readonly Example[] {
  const traffic: UnsealedRow[] = [];
  const labels: UnsealedTruth[] = [];
  const frauds = new Set<string>();
  for (const [batch] of new World(seed, packOf(PACKS[pack]?.parameters ?? {})).batches()) {
    traffic.push(...batch.traffic);
    labels.push(...batch.labels);
    for (const { key } of batch.fraudTransactions) frauds.add(key);
  }
  traffic.sort((a, b) => (a.ts_utc === b.ts_utc ? (a.key < b.key ? -1 : 1) : a.ts_utc < b.ts_utc ? -1 : 1));
  const facts = labels.map(factOf).sort((a, b) => a.observed - b.observed);
  const state = new FeatureState(planOf(definitions));
  state.applyLabels(facts);
  return traffic.map(({ key, ts_utc, payload }, at) => {
    const event: FeatureEvent = {
      eventId: key as EventId,
      eventType: 'transaction' as EventType,
      ts: toEpochMicros(ts_utc),
      partition: 0,
      offset: at as Offset,
      payload,
    };
    const values = new Map<string, number>();
    const { amount_minor } = payload;
    if (typeof amount_minor === 'number') values.set('event.amount_minor', amount_minor);
    for (const { group, values: found } of state.snapshot(event))
      found.forEach((value, index) => {
        const name = group.features[index]?.definition.name;
        if (name !== undefined && value !== null) values.set(`features.${name}`, Number(value));
      });
    state.apply([event]);
    digest.update(Buffer.from(`${seed} ${key} ${frauds.has(key) ? 1 : 0} ${[...values].join(' ')}\n`));
    return { values, isFraud: frauds.has(key) };
  });
}

function factOf({ key, ts_utc, fields }: UnsealedTruth, offset: number): LabelFact {
  return {
    labelId: `${key}-${ts_utc}`,
    target: key as EventId,
    observed: toEpochMicros(ts_utc),
    isFraud: fields['is_fraud'] === true,
    partition: 0,
    offset: offset as Offset,
  };
}
