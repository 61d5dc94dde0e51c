import { expect } from '@jest/globals';
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parquetReadObjects } from 'hyparquet';
import type { Recipe } from '../../src/modules/model-factory/learning/recipe.schema.js';
import type { BuildStatus } from '../../src/modules/offline-feature-shadow/dataset.schema.js';
import type { Posture } from '../../src/rails/events/posture.schema.js';
import { cli } from '../support/cli.js';
import { Door, importedRun, type Outside } from '../support/door.js';
import { eventually } from '../support/eventually.js';
import { seeded } from '../support/kafka-log.js';
import { withLongWaits } from '../support/live-payments.js';

const ROWS = 1_200;
const DAYS = 18;
const LABELS_AT_ONCE = 200;
const START_MS = Date.UTC(2018, 3, 1);
const DAY_MS = 86_400_000;
const GATES = 'profiles/local/policy/mf.factory.yaml';
const day = (number: number): string => new Date(START_MS + number * DAY_MS).toISOString().slice(0, 10);
/** Who serves what a command asks for first. */
const SERVES: Readonly<Record<string, string>> = { dataset: 'ofs', model: 'mf', registry: 'mpr' };

/** Whoever publishes does not approve; waits that a busy machine does not end by itself; and gates of a laptop, which so few payments can pass. */
const TWO_PEOPLE: Outside = {
  introduce: (profile) => {
    const registry = join(profile.folder, 'policy', 'mpr.registry.yaml');
    writeFileSync(registry, readFileSync(registry, 'utf8').replace('four_eyes: false', 'four_eyes: true'));
    const factory = join(profile.folder, 'policy', 'mf.factory.yaml');
    cpSync(GATES, factory);
    // Windows of thirty days fill up for all of these eighteen days: what is learnt from moves, and scores with it.
    profile.edit(factory, 'score_psi_max: 0.25', 'score_psi_max: 1');
    return [registry, withLongWaits(profile), factory];
  },
  env: {},
};

/** Payments in the layout of the preset `handbook`. Frauds are larger than what people pay. */
function paymentsFile(): string {
  const random = seeded(11);
  const lines = Array.from({ length: ROWS }, (_, row) => {
    const isFraud = random() < 0.08;
    const seconds = Math.floor(((row + random()) * DAYS * 86_400) / ROWS);
    const amount = (isFraud ? 120 + random() * 300 : 1 + random() * 150).toFixed(2);
    const time = new Date(START_MS + seconds * 1_000).toISOString().slice(0, 19).replace('T', ' ');
    const place = [Math.floor(random() * 200), Math.floor(random() * 100), amount, seconds];
    return [row, time, ...place, Math.floor(seconds / 86_400), isFraud ? 1 : 0, isFraud ? 1 : 0].join(',');
  });
  const header =
    'TRANSACTION_ID,TX_DATETIME,CUSTOMER_ID,TERMINAL_ID,TX_AMOUNT,TX_TIME_SECONDS,TX_TIME_DAYS,TX_FRAUD,TX_FRAUD_SCENARIO';
  return `${[header, ...lines].join('\n')}\n`;
}

/** The same values in another order, by a seed. */
function shuffledOf<Value>(values: readonly Value[]): readonly Value[] {
  const random = seeded(12);
  const keyed = values.map((value) => ({ value, key: random() }));
  return keyed.sort((a, b) => a.key - b.key).map(({ value }) => value);
}

/** A platform on which payments were decided, with a dataset of them whose frauds can be known by their amounts. */
export class ModelGround {
  private constructor(
    readonly door: Door,
    readonly run: string,
    /** A folder for files of the test. */
    readonly scratch: string,
  ) {}

  static async open(flavour: 'embedded' | 'real', groups: readonly string[]): Promise<ModelGround> {
    const door = await Door.open(flavour, groups, TWO_PEOPLE);
    const dl = await door.client('dl');
    await door.request({
      run_equivalence_key: 'live',
      strategy: 'AUTO',
      world: { kind: 'live', scenario_id: 'live', traffic: [{ event_type: 'transaction', schema_version: 'v1' }] },
    } as never);
    await eventually(
      async () => ((await dl.get('/v1/posture')).body as { posture: Posture | null }).posture?.mode,
      (mode) => mode === 'NORMAL',
      90_000,
    );
    const { run_id: run } = await importedRun(door, paymentsFile(), 'signal');
    expect(await door.settled(run)).toMatchObject({ state: 'READY' });
    await door.stream(run);
    await door.streamed(run);
    await door.decided(run, ROWS);
    return new ModelGround(door, run, mkdtempSync(join(tmpdir(), 'probity-models-')));
  }

  async close(): Promise<void> {
    await this.door.close();
    rmSync(this.scratch, { recursive: true, force: true });
  }

  /** A command, as it ends. */
  async ran(...words: readonly string[]) {
    const key = join(this.scratch, 'key');
    writeFileSync(key, this.door.key());
    const url = await this.door.urlOf(SERVES[words[0] ?? ''] ?? 'mf');
    return await cli([...words, '--url', url, '--key-file', key, '--json']);
  }

  /** What a command answers that ends well. */
  async command<Answer>(...words: readonly string[]): Promise<Answer> {
    const { code, stdout, stderr } = await this.ran(...words);
    expect({ words, code, says: code === 0 ? '' : stderr + stdout }).toEqual({ words, code: 0, says: '' });
    return JSON.parse(stdout) as Answer;
  }

  /** Of the run, with what is known of it now. */
  async dataset(): Promise<string> {
    const { build } = await this.command<{ build: BuildStatus }>(
      ...['dataset', 'build', '--run', this.run, '--label', 'fraud_disposition', '--as-of', new Date().toISOString()],
      ...['--maturity-days', '0', '--train', `${day(0)}..${day(12)}`, '--test', `${day(12)}..${day(DAYS)}`],
    );
    expect(build).toMatchObject({ state: 'DONE', detail: { parity: { outcome: 'MATCH' } } });
    return build.dataset_manifest_id;
  }

  recipeFile(bundle_id: string, rounds = 40): string {
    const file = join(this.scratch, `${bundle_id}.json`);
    const recipe: Recipe = {
      ...{ bundle: { bundle_id, bundle_version: 1 }, inputs: 'all', calibration: true, seed: 1 },
      ...{ later_share_ppm: 200_000, learner: { kind: 'boosted_trees', rounds, max_depth: 3 } },
    };
    writeFileSync(file, JSON.stringify(recipe));
    return file;
  }

  /** Somebody says something else of every payment: as many frauds, on whom chance names. What is said last holds. */
  async shuffleTruth(dataset: string): Promise<void> {
    const url = `${await this.door.urlOf('ofs')}/v1/datasets/${dataset}/files/0`;
    const file = await fetch(url, { headers: { authorization: `Bearer ${this.door.key()}` } });
    const rows = await parquetReadObjects({ file: await file.arrayBuffer() });
    const truths = shuffledOf(rows.map(({ is_fraud }) => is_fraud === true));
    const labels = rows.map(({ event_id }: Readonly<Record<string, unknown>>, at) => ({
      ...{ run_id: this.run, target: { kind: 'EVENT', event_id }, label_type: 'fraud_disposition' },
      ...{ label_value: truths[at] === true ? 'FRAUD_CONFIRMED' : 'LEGIT_CONFIRMED' },
      ...{ namespace: 'analyst', handle: `shuffled-${at}` },
    }));
    for (let from = 0; from < labels.length; from += LABELS_AT_ONCE) {
      const page = { labels: labels.slice(from, from + LABELS_AT_ONCE) };
      const { status, text } = await (await this.door.client('labels')).post('/v1/labels', page);
      expect([status, text.includes('REFUSED')]).toEqual([200, false]);
    }
  }
}
