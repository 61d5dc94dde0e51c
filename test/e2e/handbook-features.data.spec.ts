import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';
import { createGunzip } from 'node:zlib';
import { beforeAll, describe, expect, it } from '@jest/globals';
import type { Offset } from '../../src/rails/eb-ref.js';
import type { EventId, EventType } from '../../src/rails/envelope.schema.js';
import type { FeatureEvent } from '../../src/rails/features/event-table.js';
import { FeatureState } from '../../src/rails/features/feature-state.js';
import { planOf } from '../../src/rails/features/plan.js';
import type { EpochMicros } from '../../src/rails/time.js';
import { HANDBOOK, shippedDefinitions } from '../contract/feature-plane.kit.js';
import { compareWithOracle, HANDBOOK_FEATURES, openOracle } from '../support/handbook-oracle.js';

const LIMIT_MS = 600_000;
const WEEK_MICROS = 7 * 86_400e6;

/**
 * The shipped definitions of the handbook's features over a whole file that this project did not make, against window functions in DuckDB over
 * the raw file: PROBITY_TEST_HANDBOOK names it (CSV, gzip).
 */
describe('the features of the handbook', () => {
  const file = process.env['PROBITY_TEST_HANDBOOK'] ?? '';
  const columns = HANDBOOK_FEATURES.map(() => new Float64Array(1_000_000));

  async function compute(change: (event: FeatureEvent, fraud: boolean) => [FeatureEvent, boolean]): Promise<void> {
    const plan = planOf(shippedDefinitions(...HANDBOOK));
    const names = plan.groups.flatMap(({ features }) => features.map(({ definition }) => definition.name as string));
    const places = names.map((name) => HANDBOOK_FEATURES.indexOf(name));
    const state = new FeatureState(plan);
    let header = true;
    for await (const line of createInterface({ input: createReadStream(file).pipe(createGunzip()) })) {
      if (header || line === '') {
        header = false;
        continue;
      }
      const [id = '', at = '', customer = '', terminal = '', amount = '', , , fraudText] = line.split(',');
      const ts = (Date.parse(`${at.replace(' ', 'T')}Z`) * 1_000) as EpochMicros;
      const [event, fraud] = change(
        {
          eventId: id as EventId,
          eventType: 'transaction' as EventType,
          ts,
          partition: 0,
          offset: Number(id) as Offset,
          payload: { customer_id: customer, terminal_id: terminal, amount_minor: Math.round(Number(amount) * 100) },
        },
        fraudText === '1',
      );
      const values = state.snapshot(event).flatMap((group) => group.values);
      values.forEach((value, index) => {
        const column = columns[places[index] ?? -1];
        if (column !== undefined) column[Number(id)] = value === null ? Number.NaN : Number(value);
      });
      state.apply([event]);
      if (fraud)
        state.applyLabels([
          {
            labelId: id,
            target: event.eventId,
            observed: (ts + WEEK_MICROS) as EpochMicros,
            isFraud: true,
            partition: 0,
            offset: 0 as Offset,
          },
        ]);
    }
  }

  const oursOf = (id: number): readonly number[] => columns.map((column) => column[id] ?? Number.NaN);

  beforeAll(() => {
    if (file === '') throw new Error('set PROBITY_TEST_HANDBOOK to the file');
  });

  it(
    'equal an independent computation, but for customers with two payments in one second, which are listed',
    async () => {
      await compute((event, fraud) => [event, fraud]);
      const oracle = await openOracle(file);
      const { compared, off, ties } = await compareWithOracle(oracle, oursOf);
      oracle.close();
      expect(compared).toBeGreaterThan(100_000);
      expect(off).toEqual([]);
      const rows = [...new Set(ties.map(({ id }) => id))];
      // Their order within the second is not in the file: at most these differ, and only in what their customer did.
      process.stdout.write(
        `${compared} compared; ${rows.length} differ by the order within a second: ${rows.join(', ')}\n`,
      );
      expect(rows.length).toBeLessThan(compared / 10_000);
    },
    LIMIT_MS,
  );

  it(
    'do not equal it when one label moves by a second or one amount changes: the twin',
    async () => {
      let [moved, changed] = [-1, -1];
      await compute((event, fraud) => {
        if (fraud && moved < 0) {
          moved = Number(event.eventId);
          // A fraud that nobody ever confirms.
          return [event, false];
        }
        if (Number(event.eventId) === 1_000) {
          changed = 1_000;
          const { amount_minor: amount } = event.payload;
          return [{ ...event, payload: { ...event.payload, amount_minor: Number(amount) + 1 } }, fraud];
        }
        return [event, fraud];
      });
      const oracle = await openOracle(file);
      const { off } = await compareWithOracle(oracle, oursOf);
      oracle.close();
      expect([moved >= 0, changed]).toEqual([true, 1_000]);
      const features = new Set(off.map(({ feature }) => feature));
      expect(features).toContain('hb_terminal_risk_7d');
      expect(off.filter(({ feature }) => feature === 'hb_amount')).toEqual([
        { id: 1_000, feature: 'hb_amount', ours: expect.any(Number), theirs: expect.any(Number) },
      ]);
    },
    LIMIT_MS,
  );
});
