import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';
import { packOf } from '../src/modules/data-engine/generate/pack.core.js';
import { PACKS } from '../src/modules/data-engine/generate/packs.js';
import { World } from '../src/modules/data-engine/generate/world.js';
import type { UnsealedRow, UnsealedTruth } from '../src/modules/data-engine/world-source.js';
import type { Offset } from '../src/rails/eb-ref.js';
import type { EventId, EventType } from '../src/rails/envelope.schema.js';
import type { GraphValues } from '../src/rails/graph/context.schema.js';
import type { GraphPolicy } from '../src/rails/graph/graph.schema.js';
import { GraphState } from '../src/rails/graph/graph-state.js';
import { toEpochMicros } from '../src/rails/time.js';
import type { Bench } from './harness.js';

/** Rules of thumb over the graph alone, each as a rule of the platform could say it. */
const RULES: readonly (readonly [string, (values: GraphValues) => boolean])[] = [
  ['device_payers >= 2', ({ device_payers }) => (device_payers ?? 0) >= 2],
  ['device_payers >= 3', ({ device_payers }) => (device_payers ?? 0) >= 3],
  ['address_payers >= 2', ({ address_payers }) => (address_payers ?? 0) >= 2],
  ['address_payers >= 3', ({ address_payers }) => (address_payers ?? 0) >= 3],
  ['beneficiary_payers >= 2', ({ beneficiary_payers }) => (beneficiary_payers ?? 0) >= 2],
  ['beneficiary_payers >= 3', ({ beneficiary_payers }) => (beneficiary_payers ?? 0) >= 3],
  ['component_payers >= 8', ({ component_payers }) => component_payers >= 8],
  ['component_fraud_events >= 1', ({ component_fraud_events }) => component_fraud_events >= 1],
  ['component_fraud_events >= 2', ({ component_fraud_events }) => component_fraud_events >= 2],
  [
    'component_fraud_events >= 2 && share >= 10 %',
    ({ component_fraud_events, component_fraud_share_e4: share }) =>
      component_fraud_events >= 2 && (share ?? 0) >= 1_000,
  ],
];

/** A world with planted rings through the graph, in the order of its events, with labels as they become known. */
export const bench: Bench = (note) => {
  const file = join(process.cwd(), 'profiles', 'local', 'policy', 'ieg.graph.yaml');
  const { body } = parse(readFileSync(file, 'utf8')) as { readonly body: GraphPolicy };
  for (const [pack, seed] of [
    ['small', '201'],
    ['medium', '1'],
  ] as const) {
    const traffic: UnsealedRow[] = [];
    const labels: UnsealedTruth[] = [];
    const kinds = new Map<string, string>();
    for (const [batch] of new World(seed, packOf(PACKS[pack]?.parameters ?? {})).batches()) {
      traffic.push(...batch.traffic);
      labels.push(...batch.labels);
      for (const { key, fields } of batch.fraudTransactions)
        kinds.set(key, typeof fields['kind'] === 'string' ? fields['kind'] : '');
      if (traffic.length > 200_000) break;
    }
    traffic.sort((a, b) => (a.ts_utc === b.ts_utc ? (a.key < b.key ? -1 : 1) : a.ts_utc < b.ts_utc ? -1 : 1));
    const memory = process.memoryUsage().heapUsed + process.memoryUsage().arrayBuffers;
    const state = new GraphState(body);
    state.applyLabels(
      labels.map(({ key, ts_utc, fields }, offset) => ({
        labelId: `${key} ${ts_utc}`,
        target: key as EventId,
        observed: toEpochMicros(ts_utc),
        isFraud: fields['is_fraud'] === true,
        partition: 0,
        offset: offset as Offset,
      })),
    );
    const hits = RULES.map(() => ({ ring: 0, fraud: 0, other: 0 }));
    const startMs = performance.now();
    traffic.forEach(({ key, ts_utc, payload }, offset) => {
      const event = {
        eventId: key as EventId,
        eventType: 'transaction' as EventType,
        ts: toEpochMicros(ts_utc),
        partition: 0,
        offset: offset as Offset,
        payload,
      };
      const values = state.context(event);
      state.apply([event]);
      if (values === null) return;
      const kind = kinds.get(key);
      RULES.forEach(([, says], at) => {
        const hit = hits[at];
        if (hit === undefined || !says(values)) return;
        if (kind === undefined) hit.other += 1;
        else if (kind === 'ring') hit.ring += 1;
        else hit.fraud += 1;
      });
    });
    const seconds = (performance.now() - startMs) / 1_000;
    globalThis.gc?.();
    const held = process.memoryUsage().heapUsed + process.memoryUsage().arrayBuffers - memory;
    const rings = [...kinds.values()].filter((kind) => kind === 'ring').length;
    note(
      `Pack ${pack}, seed ${seed}: ${traffic.length.toLocaleString('en')} payments, ${kinds.size} frauds, ${rings} of them of rings; ` +
        `${Math.round(traffic.length / seconds).toLocaleString('en')} contexts and applied events/s, ${Math.round(held / traffic.length)} bytes per event.`,
    );
    RULES.forEach(([name], at) => {
      const { ring, fraud, other } = hits[at] ?? { ring: 0, fraud: 0, other: 0 };
      const all = ring + fraud + other;
      const percent = (part: number, whole: number): string =>
        whole === 0 ? '–' : `${((100 * part) / whole).toFixed(1)} %`;
      note(
        `  ${name}: of rings ${percent(ring, rings)} (recall), other fraud ${fraud}, no fraud ${other}; ring or fraud ${percent(ring + fraud, all)} (precision)`,
      );
    });
  }
  return Promise.resolve([]);
};
