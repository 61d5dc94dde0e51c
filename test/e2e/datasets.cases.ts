import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { DuckDBInstance } from '@duckdb/node-api';
import type { DatasetReading, ShownBuild } from '../../src/app/client/dataset-api.js';
import { edgeEventIdOf } from '../../src/modules/producer-edges/producer-edges.port.js';
import { runIdOf } from '../../src/modules/scenario-runner/scenario-runner.port.js';
import { cli } from '../support/cli.js';
import { Door } from '../support/door.js';
import { eventually } from '../support/eventually.js';

const RUN = runIdOf('live');
const PAYMENTS = 30;
const HOUR_MS = 3_600_000;

/** From payments that were decided to a file that a notebook reads, wherever the roles run. */
export function datasetsSuite(groups: readonly string[]): void {
  describe(`datasets, ${groups.length === 1 ? 'all roles in one process' : 'the shadow in a process of its own'}`, () => {
    const scratch = mkdtempSync(join(tmpdir(), 'probity-datasets-'));
    let door: Door;

    beforeAll(async () => {
      door = await Door.open('embedded', groups);
      await door.request({
        run_equivalence_key: 'live',
        strategy: 'AUTO',
        world: { kind: 'live', scenario_id: 'live', traffic: [{ event_type: 'transaction', schema_version: 'v1' }] },
      } as never);
      await door.settled(RUN);
      await pay(0, PAYMENTS / 2);
      await eventually(
        async () =>
          ((await (await door.client('dl')).get('/v1/posture')).body as { posture?: { mode: string } }).posture?.mode,
        (mode) => mode === 'NORMAL',
        90_000,
      );
      await pay(PAYMENTS / 2, PAYMENTS);
      await door.decided(RUN, PAYMENTS);
    }, 240_000);

    afterAll(async () => {
      await door.close();
      rmSync(scratch, { recursive: true, force: true });
    });

    /** The first half while the ladder still climbs: decisions without features are a part of every run. */
    const pay = async (from: number, to: number): Promise<void> => {
      const edge = await door.client('edge');
      for (let n = from; n < to; n += 1) {
        const occurred_at = new Date(Date.now() - (PAYMENTS - n) * HOUR_MS).toISOString();
        const payment = { transaction_id: `t-${n}`, occurred_at, amount: '12.50', currency: 'EUR' };
        const { status, text } = await edge.post('/v1/transactions', {
          ...payment,
          ...{ card_id: `card-${n % 4}`, terminal_id: `till-${n % 3}` },
        });
        if (status >= 300) throw new Error(text);
      }
    };
    const ran = async (...words: readonly string[]) => {
      const key = join(scratch, 'key');
      writeFileSync(key, door.key());
      const url = await door.urlOf(words[0] === 'label' ? 'labels' : 'ofs');
      return await cli([...words, '--url', url, '--key-file', key, '--json']);
    };
    const command = async <Answer>(...words: readonly string[]): Promise<Answer> => {
      const { code, stdout, stderr } = await ran(...words);
      expect({ code, says: code === 0 ? '' : stderr }).toEqual({ code: 0, says: '' });
      return JSON.parse(stdout) as Answer;
    };

    it('every decision of the run is rebuilt as it was served', async () => {
      const { build } = await command<ShownBuild>('dataset', 'build', '--run', 'live', '--parity');
      expect(build).toMatchObject({ state: 'DONE', detail: { parity: { outcome: 'MATCH', decisions: PAYMENTS } } });
      const { match = 0, not_served = {} } = build.detail.parity ?? {};
      expect(match).toBeGreaterThanOrEqual(PAYMENTS / 2);
      expect(match + Object.values(not_served).reduce((sum, count) => sum + count, 0)).toBe(PAYMENTS);
    });

    it('a dataset with labels is built, listed, shown and exported, and others read it', async () => {
      const event = edgeEventIdOf('payments-api', 't-20');
      const said = ['--type', 'fraud_disposition', '--value', 'FRAUD_CONFIRMED', '--handle', 'case-1'];
      await command('label', 'add', '--event', event, ...said);
      const asOf = new Date().toISOString();
      const words = ['dataset', 'build', '--run', 'live', '--label', 'fraud_disposition', '--as-of', asOf];
      const asked = [...words, '--maturity-days', '0', '--groups', 'core_card,core_terminal', '--request-id', 'r-1'];
      const built = await command<ShownBuild & DatasetReading>(...asked);
      const id = built.build.dataset_manifest_id;
      expect(built.manifest.built).toMatchObject({
        rows_kept: PAYMENTS,
        label: { by_state: { LABEL: 1, MATURED: PAYMENTS - 1 } },
      });
      expect((await command<{ outcome: string }>(...asked)).outcome).toBe('DUPLICATE');
      const list = await command<{ builds: { dataset_manifest_id: string }[] }>('dataset', 'list', '--run', 'live');
      expect(list.builds.map(({ dataset_manifest_id }) => dataset_manifest_id)).toContain(id);
      expect(await command('dataset', 'show', id)).toMatchObject({ receipt: { status: 'PASS' } });
      const to = join(scratch, 'exported');
      await command('dataset', 'export', id, '--to', to);
      expect(readdirSync(to).sort()).toEqual(['manifest.json', 'receipt.json', 'rows.parquet']);
      const connection = await (await DuckDBInstance.create()).connect();
      const read = await connection.runAndReadAll(
        `select count(*) as n, sum(is_fraud::int) as frauds, sum(f_card_count_24h) as counted, min(ts_utc) < max(ts_utc) as spread
         from '${join(to, 'rows.parquet')}'`,
      );
      const [row] = read.getRowObjectsJS();
      expect(row).toMatchObject({ n: BigInt(PAYMENTS), frauds: 1n, spread: true });
      expect(row?.['counted']).toBeGreaterThan(0n);
      connection.closeSync();
      expect(JSON.parse(readFileSync(join(to, 'manifest.json'), 'utf8'))).toEqual(built.manifest);
    });

    it('what cannot be built is refused by name', async () => {
      const missing = await ran('dataset', 'show', 'f'.repeat(64));
      expect([missing.code, missing.stderr]).toEqual([1, expect.stringContaining('OFS_DATASET_NOT_FOUND')]);
      const unknown = await ran('dataset', 'build', '--run', 'live', '--groups', 'core_cards');
      expect([unknown.code, unknown.stderr]).toEqual([1, expect.stringContaining('OFS_FEATURE_PROFILE_UNRESOLVED')]);
    });
  });
}
