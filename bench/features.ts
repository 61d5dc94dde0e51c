import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';
import { basisRecord, emptyBasis } from '../src/rails/basis.js';
import type { Offset } from '../src/rails/eb-ref.js';
import type { EventId, EventType } from '../src/rails/envelope.schema.js';
import type { FeatureDefinitions } from '../src/rails/features/definition.schema.js';
import type { FeatureEvent } from '../src/rails/features/event-table.js';
import { FeatureState } from '../src/rails/features/feature-state.js';
import { planOf } from '../src/rails/features/plan.js';
import { snapshotOf } from '../src/rails/features/snapshot.js';
import { asPins, type RunPins } from '../src/rails/pins.js';
import { sealPolicy } from '../src/rails/policy-rev.js';
import type { EpochMicros } from '../src/rails/time.js';
import { seeded } from '../test/support/kafka-log.js';
import { type Bench, type SingleResult, timingOf } from './harness.js';

const GROUPS = ['handbook_transaction', 'handbook_customer', 'handbook_terminal'];
/** As many as the handbook's simulator has, and as often. */
const [CUSTOMERS, TERMINALS, PER_DAY] = [5_000, 10_000, 4_770];
const DAYS = [18, 183] as const;
const MEASURED = 20_000;
const LABEL_DELAY_MICROS = 7 * 86_400e6;

/**
 * Snapshots of the fifteen features of the handbook, one trigger after the other, each applied after it was asked about: on eighteen days of history and
 * on ten times as many. Labels are known a week after their events.
 */
export const bench: Bench = (note) => {
  const file = join(process.cwd(), 'profiles', 'local', 'policy', 'ofp.features.yaml');
  const { body } = parse(readFileSync(file, 'utf8')) as { readonly body: FeatureDefinitions };
  const definitions = { ...body, groups: body.groups.filter(({ name }) => GROUPS.includes(name)) };
  return Promise.resolve(DAYS.map((days) => over(days, definitions, note)));
};

function over(days: number, definitions: FeatureDefinitions, note: (text: string) => void): SingleResult {
  const random = seeded(7);
  const pins = asPins({
    manifest_fingerprint: 'a'.repeat(64),
    parameter_hash: 'b'.repeat(64),
    seed: '7',
    scenario_id: 'bench',
    run_id: 'c'.repeat(32),
  }) as RunPins;
  const { policy_rev } = sealPolicy('ofp.features', 1, definitions as never);
  const inputBasis = basisRecord(emptyBasis(['fp.bus.traffic.v1', 'fp.bus.control.v1']));
  const state = new FeatureState(planOf(definitions));
  const groups = new Set(GROUPS);
  const count = days * PER_DAY;
  const step = 86_400e6 / PER_DAY;
  const times: number[] = [];
  let spentMs = 0;
  const startMs = performance.now();
  for (let n = 0; n < count; n += 1) {
    const ts = (Date.UTC(2018, 3, 1) * 1_000 + Math.floor(n * step)) as EpochMicros;
    const event: FeatureEvent = {
      eventId: `payment-${n}` as EventId,
      eventType: 'transaction' as EventType,
      ts,
      partition: n % 4,
      offset: n as Offset,
      payload: {
        amount_minor: 100 + Math.floor(random() * 20_000),
        customer_id: `customer-${Math.floor(random() * CUSTOMERS)}`,
        terminal_id: `terminal-${Math.floor(random() * TERMINALS)}`,
      },
    };
    if (n >= count - MEASURED) {
      const beganMs = performance.now();
      const values = state.snapshot(event, groups);
      snapshotOf({ pins, trigger: event, definitions: policy_rev, groups: values, inputBasis });
      times.push(performance.now() - beganMs);
      spentMs += times.at(-1) ?? 0;
    }
    state.apply([event]);
    if (random() < 0.008)
      state.applyLabels([
        {
          labelId: `label-${n}`,
          target: event.eventId,
          observed: (ts + LABEL_DELAY_MICROS) as EpochMicros,
          isFraud: true,
          partition: 0,
          offset: n as Offset,
        },
      ]);
  }
  const appliedPerS = (count / (performance.now() - startMs - spentMs)) * 1_000;
  note(
    `${days} days, ${count.toLocaleString('en')} events of ${CUSTOMERS} customers at ${TERMINALS} terminals: ${Math.round(MEASURED / (spentMs / 1_000)).toLocaleString('en')} snapshots/s on one core, ${Math.round(appliedPerS).toLocaleString('en')} events applied/s.`,
  );
  return { name: `snapshot of fifteen features after ${days} days`, timing: timingOf(times) };
}
