import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { join } from 'node:path';
import type { Verification } from '../../src/modules/decision-fabric/verification.service.js';
import type { Reconciliation } from '../../src/modules/ingestion-gate/ingestion-gate.port.js';
import type { RunRequest, RunStatus } from '../../src/modules/scenario-runner/scenario-runner.port.js';
import type { StreamStatus } from '../../src/modules/world-stream-producer/world-stream-producer.port.js';
import { asTopicName } from '../../src/rails/eb-ref.js';
import type { Ref } from '../../src/rails/ref.js';
import { generateApiKey } from '../../src/substrate/identity/api-key.js';
import { cli } from './cli.js';
import { scratchDataFolder } from './data-folder.js';
import { openTestPostgres, type TestPostgres } from './database.js';
import { eventually } from './eventually.js';
import { Http } from './http.js';
import { demanded, openKafka } from './kafka.js';
import { spoiltObject } from './objects-harness.js';
import { ScratchProfile } from './profiles.js';
import { Program } from './program.js';

/** The roles through which a user's file goes. */
export const DOOR_ROLES = ['engine', 'sr', 'wsp', 'ig'] as const;
/** And those that decide about it. */
export const DECISION_ROLES = [
  ...DOOR_ROLES,
  'edge',
  'labels',
  'ofp',
  'ieg',
  'dl',
  'df',
  'al',
  'dla',
  'cases',
  'mpr',
  'ops',
  'ofs',
  'mf',
] as const;

/**
 * The platform as its operators run it, each group of roles in a process of its own on one data folder: on what
 * `npm ci` brings, or on Kafka, S3 and Postgres. Any of the processes can be killed and started again.
 */
export class Door {
  readonly #programs = new Map<string, Program>();

  private constructor(
    readonly data: string,
    /** Whether it stands on what `npm ci` brings. */
    readonly embedded: boolean,
    private readonly flavour: Flavour,
  ) {}

  static async open(
    flavour: 'embedded' | 'real',
    groups: readonly string[] = DOOR_ROLES,
    outside?: Outside,
  ): Promise<Door> {
    const data = scratchDataFolder('door');
    const stands = flavour === 'embedded' ? await embedded(data, outside) : await real(groups, outside);
    const door = new Door(data, flavour === 'embedded', stands);
    try {
      await Promise.all(groups.map((roles) => door.start(roles)));
    } catch (error) {
      // On a shared broker those that did start would take partitions from the tests that follow.
      await door.close();
      throw error;
    }
    return door;
  }

  async start(roles: string): Promise<void> {
    const program = new Program({
      role: roles,
      data: this.data,
      profile: this.flavour.profile,
      env: this.flavour.env(roles),
      port: this.flavour.port(roles),
      main: 'product',
      words: ['--no-demo'],
    });
    this.#programs.set(roles, program);
    await program.url();
  }

  /** Ends the process of these roles as `kill -9` does. */
  async kill(roles: string): Promise<void> {
    await this.#programs.get(roles)?.end('SIGKILL');
  }

  /** Changes text of an object behind everybody's back, as whoever holds the store could. @returns the way back */
  async spoil(key: string, from: string, to: string): Promise<() => Promise<void>> {
    return await this.flavour.spoil(key, from, to);
  }

  /** The operator's key. */
  key(): string {
    return this.flavour.key();
  }

  program(roles: string): Program {
    const program = this.#programs.get(roles);
    if (program === undefined) throw new Error(`no process of ${roles} was started`);
    return program;
  }

  /** The most that the process of these roles ever held in memory. */
  peakResidentBytes(roles: string): number {
    const status = readFileSync(`/proc/${this.program(roles).pid}/status`, 'utf8');
    const [, kib] = /^VmHWM:\s+(\d+) kB$/m.exec(status) ?? [];
    return Number(kib) * 1024;
  }

  /** Where the process that runs the role is asked. */
  async urlOf(role: string): Promise<string> {
    for (const [roles, program] of this.#programs)
      if (roles === 'all' || roles.split(',').includes(role)) return await program.url();
    throw new Error(`no process runs ${role}`);
  }

  /** An operator's client of the process that runs the role. */
  async client(role: string): Promise<Http> {
    return new Http(await this.urlOf(role), this.flavour.key());
  }

  async upload(bytes: string | Buffer<ArrayBuffer>, mediaType = 'text/csv'): Promise<Ref> {
    const { status, body, text } = await (await this.client('engine')).raw('/v1/engine/sources', bytes, mediaType);
    if (status >= 300) throw new Error(`upload: ${status} ${text}`);
    return (body as { ref: Ref }).ref;
  }

  async request(request: RunRequest): Promise<RunStatus> {
    const { status, body, text } = await (await this.client('sr')).post('/v1/runs', request);
    if (status >= 300) throw new Error(`request: ${status} ${text}`);
    return body as RunStatus;
  }

  /** Asks until the run has come to its end, through every failure on the way. */
  async settled(runId: string, limitMs = 60_000): Promise<RunStatus> {
    return await this.#asked<RunStatus>('sr', `/v1/runs/${runId}`, ({ state }) => ENDED.has(state), limitMs);
  }

  async stream(runId: string, body: object = {}): Promise<StreamStatus> {
    const answer = await eventually(
      async () => await tried(async () => await (await this.client('wsp')).post(`/v1/runs/${runId}/stream`, body)),
      (one) => one !== undefined && one.status < 300,
      30_000,
    );
    return answer?.body as StreamStatus;
  }

  async streamed(runId: string, limitMs = 60_000, pass = 1): Promise<StreamStatus> {
    const done = ({ state, pass: at }: StreamStatus): boolean =>
      at >= pass && (state === 'COMPLETED' || state === 'FAILED');
    return await this.#asked<StreamStatus>('wsp', `/v1/runs/${runId}/stream`, done, limitMs);
  }

  async streamStatus(runId: string): Promise<StreamStatus | undefined> {
    const answer = await tried(async () => await (await this.client('wsp')).get(`/v1/runs/${runId}/stream`));
    return answer?.status === 200 ? (answer.body as StreamStatus) : undefined;
  }

  async reconciled(runId: string, limitMs = 60_000): Promise<Reconciliation> {
    const path = `/v1/runs/${runId}/reconciliation`;
    return await this.#asked<Reconciliation>('ig', path, ({ state }) => state === 'DONE', limitMs);
  }

  /** Until there are so many decisions of the run; their outcomes. */
  async decided(runId: string, count: number, limitMs = 120_000): Promise<Readonly<Record<string, number>>> {
    const { outcomes } = await this.#asked<{ decisions: number; outcomes: Record<string, number> }>(
      'df',
      `/v1/decisions/summary?run=${runId}`,
      ({ decisions }) => decisions >= count,
      limitMs,
    );
    return outcomes;
  }

  /** Until so many intents of the run have an outcome on the bus; how ledger and bus stand then. */
  async carriedOut(runId: string, intents: number, limitMs = 120_000): Promise<Reconciliation> {
    return await this.#asked<Reconciliation>(
      'ig',
      `/v1/runs/${runId}/reconciliation`,
      ({ state, by_type }) => state === 'DONE' && (by_type['action_outcome']?.on_bus ?? 0) >= intents,
      limitMs,
    );
  }

  /** Makes the decisions of the run again, by the process that runs the decision fabric. */
  async verified(request: object, limitMs = 120_000): Promise<Verification> {
    const { status, body, text } = await (await this.client('df')).post('/v1/verifications', request);
    if (status >= 300) throw new Error(`verification: ${status} ${text}`);
    const { verification_id } = body as Verification;
    return await this.#asked<Verification>(
      'df',
      `/v1/verifications/${verification_id}`,
      ({ state }) => state !== 'RUNNING',
      limitMs,
    );
  }

  /** The embedded database's own process; where it was killed just now, the one that the next program starts. */
  async databasePid(): Promise<number> {
    const find = (): string | undefined =>
      readdirSync('/proc').find((name) => {
        if (!/^\d+$/.test(name)) return false;
        const command = commandOf(name);
        return /postgres -D/.test(command) && command.includes(this.data);
      });
    return Number(await eventually(find, Boolean, 30_000));
  }

  async close(): Promise<void> {
    await Promise.all([...this.#programs.values()].map((program) => program.end('SIGKILL')));
    await this.flavour.release();
    // The database of a killed parent ends by its watchdog; its folder goes when it has.
    await eventually(() => !processesOf(this.data), Boolean, 15_000).catch(() => undefined);
    rmSync(this.data, { recursive: true, force: true });
  }

  async #asked<Body>(role: string, path: string, done: (body: Body) => boolean, limitMs: number): Promise<Body> {
    const answer = await eventually(
      async () => await tried(async () => await (await this.client(role)).get(path)),
      (one) => one?.status === 200 && done(one.body as Body),
      limitMs,
    );
    return answer?.body as Body;
  }
}

const ENDED: ReadonlySet<string> = new Set(['READY', 'FAILED', 'QUARANTINED']);

/** A process that is being killed refuses connections; whoever asks, asks again. */
async function tried<Result>(work: () => Promise<Result>): Promise<Result | undefined> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof TypeError) return undefined;
    throw error;
  }
}

/** Where the policies of a platform differ from the shipped ones: somebody outside whom they name, or waits of another length. */
export interface Outside {
  /** Changes the policies and gives the files that it changed. */
  readonly introduce: (profile: ScratchProfile) => readonly string[];
  readonly env: Readonly<Record<string, string>>;
}

/** What a process of these roles finds in its environment. */
type Environment = (roles: string) => Readonly<Record<string, string>>;

interface Flavour {
  readonly profile: string;
  readonly env: Environment;
  /** Where the process of these roles listens; 0 where the data folder tells the others. */
  readonly port: (roles: string) => number;
  readonly key: () => string;
  readonly spoil: (key: string, from: string, to: string) => Promise<() => Promise<void>>;
  readonly release: () => Promise<void>;
}

async function embedded(data: string, outside?: Outside): Promise<Flavour> {
  const profile = outside === undefined ? undefined : new ScratchProfile('local');
  if (profile !== undefined) await sealed(outside?.introduce(profile) ?? []);
  return {
    profile: profile?.folder ?? 'local',
    env: () => outside?.env ?? {},
    port: () => 0,
    key: () => readFileSync(join(data, 'keys', 'operator.key'), 'utf8').trim(),
    spoil: (key, from, to) => {
      const path = readdirSync(data, { recursive: true, encoding: 'utf8' }).find((each) => each.includes(key));
      if (path === undefined) throw new Error(`${key} stands nowhere`);
      const file = join(data, path);
      const before = readFileSync(file);
      writeFileSync(file, before.toString('latin1').replace(from, to), 'latin1');
      return Promise.resolve(() => {
        writeFileSync(file, before);
        return Promise.resolve();
      });
    },
    release: () => {
      profile?.remove();
      return Promise.resolve();
    },
  };
}

async function sealed(files: readonly string[]): Promise<void> {
  for (const file of files) {
    const sealing = await cli(['policy', 'seal', file]);
    if (sealing.code !== 0) throw new Error(sealing.stderr);
  }
}

/** The shipped profile for real servers, with a bucket, a database and topics of its own, and a key per unit. */
async function real(groups: readonly string[], outside?: Outside): Promise<Flavour> {
  const run = randomBytes(4).toString('hex');
  await forgetEarlierTests();
  const postgres: TestPostgres = await openTestPostgres('external');
  const { address, admin, roleSecret } = await postgres.fresh({ schemas: [] });
  const profile = new ScratchProfile('dev');
  const ports = new Map(await Promise.all(groups.map(async (roles) => [roles, await freePort()] as const)));
  const endpoints = [...ports]
    .flatMap(([roles, port]) => roles.split(',').map((role) => `${role}: 'http://127.0.0.1:${port}'`))
    .filter((endpoint) => !endpoint.startsWith('all:'));
  const operator = generateApiKey('tester');
  const units = [
    'engine',
    'sr',
    'wsp',
    'edge',
    'ofp',
    'ieg',
    'dl',
    'df',
    'al',
    'dla',
    'labels',
    'cases',
    'mpr',
    'ops',
    'ofs',
    'mf',
  ].map((unit) => ({
    unit,
    key: generateApiKey(unit),
  }));
  const listed = [
    `    - key_id: tester\n      key_sha256: '${operator.keySha256}'\n      actor_id: HUMAN::operator\n      roles: [operator]`,
    ...units.map(
      ({ unit, key }) =>
        `    - key_id: ${unit}\n      key_sha256: '${key.keySha256}'\n      actor_id: SYSTEM::${unit}\n      roles: [service]`,
    ),
  ];
  profile.edit(profile.wiring, 'bucket: fraud-platform', `bucket: probity-door-${run}`);
  profile.edit(profile.wiring, 'host: 0.0.0.0', 'host: 127.0.0.1');
  // As earlier tests have made the topics of a shared broker.
  profile.edit(profile.wiring, 'partitions: 6, retention_ms: null', 'partitions: 6, retention_ms: 604800000');
  profile.edit(profile.wiring, 'identity: {}', 'identity:\n  service_key: { env: PROBITY_TEST_SERVICE_KEY }');
  profile.edit(profile.wiring, 'endpoints: {}', `endpoints: { ${endpoints.join(', ')} }`);
  profile.edit(profile.access, 'api_keys: []', `api_keys:\n${listed.join('\n')}`);
  // The shipped ladder takes half a minute to climb, which is right for operators and long for a test.
  const ladder = join(profile.folder, 'policy', 'dl.ladder.yaml');
  profile.edit(ladder, 'quiet_ms: 10000', 'quiet_ms: 1000');
  await sealed([profile.access, ladder, ...(outside?.introduce(profile) ?? [])]);
  return {
    profile: profile.folder,
    env: (roles) => ({
      ...outside?.env,
      PROBITY_DATABASE_HOST: address.host,
      PROBITY_DATABASE_PORT: String(address.port),
      PROBITY_DATABASE_NAME: address.database,
      PROBITY_DATABASE_ADMIN_USER: admin.user,
      PROBITY_DATABASE_ADMIN_PASSWORD: admin.password,
      PROBITY_DATABASE_ROLE_SECRET: roleSecret,
      PROBITY_KAFKA_BROKERS: demanded('KAFKA_BROKERS', 'a list of brokers'),
      PROBITY_S3_ENDPOINT: demanded('S3_ENDPOINT', 'the address of an S3 server'),
      PROBITY_S3_ACCESS_KEY_ID: demanded('S3_ACCESS_KEY_ID', 'its access key'),
      PROBITY_S3_SECRET_ACCESS_KEY: demanded('S3_SECRET_ACCESS_KEY', 'its secret key'),
      // As in a cluster: a role per process, and a key per role. The gate calls nobody.
      PROBITY_TEST_SERVICE_KEY: (units.find(({ unit }) => unit === roles) ?? { key: operator }).key.token,
    }),
    port: (roles) => ports.get(roles) ?? 0,
    key: () => operator.token,
    spoil: async (key, from, to) => await spoiltObject(`probity-door-${run}`, key, from, to),
    release: async () => {
      await postgres.close();
      profile.remove();
    },
  };
}

/** Topics outlive a test on a shared broker, and a fabric that begins at the oldest record would decide what earlier tests have left. */
async function forgetEarlierTests(): Promise<void> {
  const bus = await openKafka();
  try {
    for (const topic of ['fp.bus.traffic.v1', 'fp.bus.control.v1'].map(asTopicName)) {
      const marks = await bus.marks(topic).catch(() => []);
      for (const { partition, highWater } of marks) await bus.trim({ topic, partition, offset: highWater });
    }
  } finally {
    await bus.close();
  }
}

/** A port that nobody listens on. */
async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

function processesOf(folder: string): boolean {
  return readdirSync('/proc').some((name) => /^\d+$/.test(name) && commandOf(name).includes(folder));
}

function commandOf(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ');
  } catch {
    return '';
  }
}

/** Requests an imported run of a file in the layout of a preset. */
export async function importedRun(
  door: Door,
  file: string | Buffer<ArrayBuffer>,
  scenario: string,
): Promise<RunStatus> {
  const source = await door.upload(file);
  const presets = (await (await door.client('engine')).get('/v1/engine/presets')).body;
  const { parameters } = presetNamed(presets, 'handbook');
  const world = { kind: 'import', scenario_id: scenario, source, parameters };
  return await door.request({
    run_equivalence_key: `import:${scenario}`,
    world,
    strategy: 'AUTO',
  } as RunRequest);
}

function presetNamed(presets: unknown, name: string): { readonly parameters: object } {
  const found = (presets as { readonly presets: Readonly<Record<string, { readonly parameters: object }>> }).presets[
    name
  ];
  if (found === undefined) throw new Error(`no preset ${name}`);
  return found;
}
