import { appendFileSync, chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';
import { PRESETS } from '../../src/modules/data-engine/import/presets.js';
import type { EvalReport } from '../../src/modules/model-factory/learning/eval-report.schema.js';
import { DEFAULT_RECIPE, type Recipe } from '../../src/modules/model-factory/learning/recipe.schema.js';
import type { TrainAnswer, RunStatus as TrainStatus } from '../../src/modules/model-factory/train-run.schema.js';
import type { BuildAnswer, BuildIntent, BuildStatus } from '../../src/modules/offline-feature-shadow/dataset.schema.js';
import type { RunStatus } from '../../src/modules/scenario-runner/scenario-runner.port.js';
import type { StreamStatus } from '../../src/modules/world-stream-producer/world-stream-producer.port.js';
import type { FeatureDefinitions } from '../../src/rails/features/definition.schema.js';
import type { Bundle } from '../../src/rails/model/bundle.schema.js';
import { cli } from './cli.js';
import { Http } from './http.js';
import { ScratchProfile } from './profiles.js';
import { Program } from './program.js';

/** What takes a file in, keeps its labels, builds datasets and trains. Nobody decides anything. */
const ROLES = 'engine,sr,wsp,ig,labels,ofs,mf,mpr';
const POLL_MS = 500;

export interface World {
  readonly runId: string;
  /** Payments that the gate admitted. */
  readonly rows: number;
}

export interface TrainedFold {
  readonly bundle: Bundle;
  /** As its run ended: FAILED_GATES is a result as well. */
  readonly state: string;
  readonly reasons: readonly string[];
  /** On all rows of the split test, as its report has it. */
  readonly averagePrecision: number;
}

/**
 * Card payments of others' making through the platform, in a process of its own on a folder that stays: whatever was done in it already is not done
 * again.
 */
export class CardPlatform {
  readonly definitions: FeatureDefinitions;

  private constructor(
    private readonly http: Http,
    private readonly program: Program,
    private readonly profile: ScratchProfile,
    readonly folder: string,
  ) {
    const file = join(profile.folder, 'policy', 'ofp.features.yaml');
    this.definitions = (parse(readFileSync(file, 'utf8')) as { readonly body: FeatureDefinitions }).body;
  }

  /** @param more groups of features beside the shipped ones */
  static async open(folder: string, more: FeatureDefinitions['groups'] = []): Promise<CardPlatform> {
    const data = join(folder, 'platform');
    mkdirSync(data, { recursive: true });
    // The embedded database may run as another user.
    for (const each of [folder, data]) chmodSync(each, 0o711);
    const profile = new ScratchProfile('local');
    const features = join(profile.folder, 'policy', 'ofp.features.yaml');
    profile.edit(features, 'revision: 1', 'revision: 2');
    appendFileSync(features, more.map((group) => `    - ${JSON.stringify(group)}\n`).join(''));
    const sealing = await cli(['policy', 'seal', features]);
    if (sealing.code !== 0) throw new Error(sealing.stderr);
    const program = new Program({
      ...{ role: ROLES, data, profile: profile.folder, main: 'product', words: ['--no-demo'] },
    });
    const key = join(data, 'keys', 'operator.key');
    const url = await program.url();
    return new CardPlatform(new Http(url, readFileSync(key, 'utf8').trim()), program, profile, folder);
  }

  async close(): Promise<void> {
    await this.program.end('SIGTERM');
    this.profile.remove();
  }

  /** The file as a world whose labels become known so long after their payments (ISO 8601), streamed through the gate, with all of its labels in the ledger. */
  async world(name: string, file: string, delay: string): Promise<World> {
    const { parameters } = PRESETS['handbook'] ?? missing('the preset');
    const label = parameters.label ?? missing('its label');
    const upload = await this.http.raw('/v1/engine/sources', readFileSync(file), 'text/csv');
    if (upload.status >= 300) throw new Error(`the upload: ${upload.status} ${upload.text}`);
    const source = upload.body as { readonly ref: object };
    const { run_id: runId } = await this.#sent<RunStatus>('/v1/runs', {
      run_equivalence_key: `import:${name}`,
      strategy: 'AUTO',
      world: {
        ...{ kind: 'import', scenario_id: name, source: source.ref },
        parameters: { ...parameters, label: { ...label, delay } },
      },
    });
    const run = await this.#until<RunStatus>(`/v1/runs/${runId}`, ({ state }) => ENDED.has(state));
    if (run.state !== 'READY') throw new Error(`the run is ${run.state}: ${run.detail ?? ''}`);
    const before = await this.http.get(`/v1/runs/${runId}/stream`);
    if (before.status !== 200) await this.#sent(`/v1/runs/${runId}/stream`, {});
    const stream = await this.#until<StreamStatus>(
      `/v1/runs/${runId}/stream`,
      ({ state }) => state === 'COMPLETED' || state === 'FAILED',
    );
    if (stream.state === 'FAILED' || stream.admitted !== stream.rows_total)
      throw new Error(`the stream is ${stream.state}: ${stream.admitted} of ${stream.rows_total} were admitted`);
    const feed = await this.#until<{ readonly state: string }>(
      `/v1/runs/${runId}/labels`,
      ({ state }) => !['WAITING', 'PUBLISHING'].includes(state),
    );
    if (feed.state !== 'DONE') throw new Error(`the labels are ${feed.state}`);
    return { runId, rows: stream.admitted };
  }

  /** Builds a dataset, and keeps its rows beside the platform. @returns its id and the file */
  async dataset(
    name: string,
    intent: Omit<BuildIntent, 'request_id' | 'kind' | 'basis'>,
  ): Promise<{ readonly id: string; readonly file: string }> {
    const asked = { request_id: name, kind: 'dataset_build', basis: { at: 'head' }, ...intent };
    const { build } = await this.#sent<BuildAnswer>('/v1/datasets', asked);
    const id = build.dataset_manifest_id;
    const { build: ended } = await this.#until<{ readonly build: BuildStatus }>(
      `/v1/datasets/${id}`,
      ({ build: now }) => ['DONE', 'FAILED', 'UNCHECKABLE', 'CANCELLED'].includes(now.state),
    );
    if (ended.state !== 'DONE') throw new Error(`${name} is ${ended.state}: ${JSON.stringify(ended.detail)}`);
    const file = join(this.folder, `${name}.parquet`);
    if (!existsSync(file)) writeFileSync(file, await this.#bytes(`/v1/datasets/${id}/files/0`));
    return { id, file };
  }

  /** Asks for a training by the default recipe on these features, none of which is put before the registry. @returns the path of the run */
  async training(name: string, dataset: string, features: readonly string[]): Promise<string> {
    const called = name.replaceAll(' ', '-');
    const recipe: Recipe = {
      ...DEFAULT_RECIPE,
      bundle: { bundle_id: called, bundle_version: 1 },
      inputs: features.map((feature) => ({ source: 'features', name: feature })),
    };
    const { run } = await this.#sent<TrainAnswer>('/v1/training-runs', {
      ...{ request_id: called, kind: 'baseline_train', publish: false, recipe },
      datasets: [{ role: 'train', dataset_manifest_id: dataset }],
    });
    return `/v1/training-runs/${run.train_run_id}`;
  }

  async trained(path: string): Promise<TrainedFold> {
    const { run } = await this.#until<{ readonly run: TrainStatus }>(path, ({ run: now }) => now.at_rest);
    const { state, trained, detail } = run;
    if (trained === null) throw new Error(`${path} is ${state}: ${JSON.stringify(detail)}`);
    const bundle = await this.#until<Bundle>(`${path}/bundle`, () => true);
    const report = await this.#until<EvalReport>(`${path}/report.json`, () => true);
    const averagePrecision = report.quality.average_precision.value;
    return { bundle, state, reasons: trained.reason_codes, averagePrecision };
  }

  async #bytes(path: string): Promise<Buffer> {
    const response = await fetch(this.http.base + path, {
      headers: { authorization: `Bearer ${this.http.key ?? ''}` },
    });
    if (!response.ok) throw new Error(`${path}: ${response.status}`);
    return Buffer.from(await response.arrayBuffer());
  }

  async #sent<Body>(path: string, body: object): Promise<Body> {
    const answer = await again(() => this.http.post(path, body));
    if (answer.status >= 300) throw new Error(`${path}: ${answer.status} ${answer.text}`);
    return answer.body as Body;
  }

  async #until<Body>(path: string, done: (body: Body) => boolean): Promise<Body> {
    for (;;) {
      const { status, body, text } = await again(() => this.http.get(path));
      // What was accepted just now may not be known to whoever is asked.
      if (status !== 200 && status !== 404) throw new Error(`${path}: ${status} ${text}`);
      if (status === 200 && done(body as Body)) return body as Body;
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
  }
}

/** Once more where a connection had been left idle for too long; whatever is asked here may be asked twice. */
async function again<Answer>(ask: () => Promise<Answer>): Promise<Answer> {
  try {
    return await ask();
  } catch (error) {
    if (error instanceof TypeError) return await ask();
    throw error;
  }
}

const ENDED: ReadonlySet<string> = new Set(['READY', 'FAILED', 'QUARANTINED']);

function missing(what: string): never {
  throw new Error(`${what} is missing`);
}
