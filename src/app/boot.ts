import type { AddressInfo } from 'node:net';
import type { Writable } from 'node:stream';
import { ValidationPipe } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify';
import { ProbityError } from '../rails/errors/probity-error.js';
import { asGroupName } from '../substrate/bus/bus.names.js';
import { asTopicName } from '../rails/eb-ref.js';
import type { Bus, PositionStore } from '../substrate/bus/bus.port.js';
import { BusServer, consumerId } from '../substrate/bus/bus.server.js';
import type { Clock } from '../substrate/clock/clock.port.js';
import { SystemClock } from '../substrate/clock/system.clock.js';
import type { AccessPolicy } from '../substrate/identity/access-policy.schema.js';
import { PolicyAccess } from '../substrate/identity/access.js';
import { PolicyAuthenticator } from '../substrate/identity/policy.authenticator.js';
import { noteSigner } from '../rails/tlog/note.js';
import { LogSigner } from '../substrate/signing/log-signer.js';
import { FollowedPolicies } from '../substrate/policy/followed.policies.js';
import type { MetricsSource } from '../substrate/telemetry/metrics-source.port.js';
import { PrometheusMetricsSource } from '../substrate/telemetry/prometheus.metrics-source.js';
import { ScrapingMetricsSource } from '../substrate/telemetry/scraping.metrics-source.js';
import { About } from '../substrate/about.js';
import { installBodies } from '../substrate/http/bodies.js';
import { composeApp, type Parts } from './compose.js';
import type { DataFolder } from './data-folder.js';
import { observeHttp } from '../substrate/http/telemetry.hooks.js';
import { openApiOf } from './http/openapi.js';
import { OpenApiHolder } from './http/openapi.controller.js';
import { type LocalKey, openAuditKey, openLocalKeys, readKey } from './local-keys.js';
import { NestLog } from './nest-log.js';
import { Peers } from './peers.js';
import { ACCESS_POLICY } from './policy-file.js';
import type { Profile } from './profile.js';
import { Readiness } from './readiness.js';
import { boundsBelow } from './retention-bound.js';
import { openBus, openDatabase, openObjects, schemasOf } from './substrates.js';
import { openTelemetry } from './telemetry.js';
import { type NamedUnit, policyKindsOf, type UnitTable } from './unit-table.js';
import { VERSION } from './version.js';

export interface BootOptions {
  readonly table: UnitTable;
  /** The rows that run in this process. */
  readonly selected: readonly NamedUnit[];
  readonly profile: Profile;
  readonly folder: DataFolder;
  /** HTTP port instead of the profile's; 0 takes any free one. */
  readonly port?: number;
  /** Takes the structured log, one line per event. */
  readonly logs: Writable;
  readonly clock?: Clock;
}

export interface Running {
  /** Base address of this process's HTTP. */
  readonly url: string;
  readonly roles: readonly string[];
  /** Keys that the start made or found in the data folder. */
  readonly keys: readonly LocalKey[];
  readonly app: NestFastifyApplication;
  readonly parts: Parts;
  /** Stops in order, within the profile's bound; further calls wait for the first. */
  stop(): Promise<'in order' | 'cut short'>;
}

/**
 * Starts one process: substrates, then migrations, then the composed application, its HTTP, and at last its consumers,
 * which must not find half an application. Whatever fails, what was started before is stopped again, in reverse.
 */
export async function boot(options: BootOptions): Promise<Running> {
  const undo = new Undo(options.profile.wiring.stop_timeout_ms);
  try {
    return await start(options, undo);
  } catch (error) {
    await undo.run();
    throw error;
  }
}

async function start(options: BootOptions, undo: Undo): Promise<Running> {
  const { table, selected, profile, folder, clock = new SystemClock() } = options;
  const { wiring, settings } = profile;
  const roles = selected.map((unit) => unit.role);
  const component = roles.length === table.units.length ? 'all' : roles.join('+');

  const otel = openTelemetry({
    component: 'probity',
    version: VERSION,
    env: wiring.env,
    clock,
    logLevel: wiring.telemetry.log_level,
    samplingRatio: wiring.telemetry.sampling_ratio,
    destination: options.logs,
    ...(wiring.telemetry.otlp_endpoint === undefined
      ? {}
      : { otlpEndpoint: settings.text(wiring.telemetry.otlp_endpoint) }),
    ...(wiring.telemetry.otlp_headers === undefined
      ? {}
      : { otlpHeaders: headersOf(settings.read(wiring.telemetry.otlp_headers)) }),
  });
  undo.add(() => otel.shutdown());
  const { telemetry } = otel;
  const { logger } = telemetry;

  const opening = { profile, folder, table, component, clock };
  const database = await openDatabase(opening);
  undo.add((leftMs) => database.close(leftMs));
  const schemas = schemasOf(selected, profile);
  const mayMigrate = wiring.database.kind === 'embedded' || wiring.database.migrate_at_start;
  if (mayMigrate) await database.migrate(schemas);
  await database.verify(schemas);

  const bus = await openBus(opening, database, telemetry);
  undo.add(() => bus.close());
  await ensureTopics(bus, table, selected, profile);
  const objects = await openObjects(opening);
  undo.add(() => objects.close());
  const kinds = policyKindsOf(table);
  const policies = await FollowedPolicies.open({ kinds, profile: profile.policies, objects, clock, logger });
  policies.start();
  const retention = policies.artifacts().find(({ policy_rev }) => policy_rev.policy_id === 'ops.retention');
  for (const bound of boundsBelow(wiring.topics, retention?.body)) logger.warn('retention_bound_low', { ...bound });
  undo.add(() => policies.close());
  const keys = openLocalKeys(policies.inForce(ACCESS_POLICY).body as unknown as AccessPolicy, folder.keys);

  const readiness = new Readiness(VERSION, roles, [
    { name: 'database', check: () => database.health() },
    { name: 'bus', check: () => bus.health() },
    { name: 'objects', check: () => objects.health() },
    { name: 'policies', check: () => Promise.resolve(policies.health()) },
  ]);
  const peers = new Peers(folder.peers);
  const parts: Parts = {
    clock,
    telemetry,
    metrics: { render: () => otel.metricsText() },
    metricsSource: metricsSourceOf(profile, roles, peers, clock, () => otel.metricsText()),
    database,
    bus,
    objects,
    authenticator: new PolicyAuthenticator(keys.policy, { clock, logger }),
    access: new PolicyAccess(keys.policy),
    accessPolicy: keys.policy,
    policies,
    logSigner: new LogSigner(() => {
      const named = wiring.audit?.signing_key;
      return noteSigner(named === undefined ? openAuditKey(folder.keys, wiring.env) : settings.read(named));
    }),
    secrets: settings,
    about: new About(VERSION, wiring.env, process.pid),
    readiness,
  };

  const remote = {
    addressOf: (role: string): string | undefined => {
      const named = wiring.rpc.endpoints[role];
      return named === undefined ? peers.addressOf(role) : settings.text(named);
    },
    credential: serviceCredential(profile, keys.keys),
    throughWire: wiring.rpc.through_wire,
  };
  const app = await openApp(composeApp(table, selected, parts, remote), profile, parts);
  undo.add(() => app.close());

  const consumers = connectConsumers(app, selected, parts);
  await app.init();
  app.get(OpenApiHolder).document = openApiOf(app);
  await listen(app, wiring.http.host, options.port ?? wiring.http.port);
  const url = urlOf(app);
  await app.startAllMicroservices();
  undo.add(() => stopAll(consumers));
  peers.announce({ pid: process.pid, roles, url });
  undo.addNow(() => peers.withdraw());
  readiness.becomeServing();
  undo.addNow(() => readiness.becomeStopping());
  logger.info('process_ready', { url, roles: roles.join(','), profile: profile.name });

  let stopping: Promise<'in order' | 'cut short'> | undefined;
  return {
    url,
    roles,
    keys: keys.keys,
    app,
    parts,
    stop: () => {
      stopping ??= undo.run();
      return stopping;
    },
  };
}

/** Where the metrics of all processes are read: from a Prometheus server where the wiring names one, else from each process itself. */
function metricsSourceOf(
  { wiring, settings }: Profile,
  roles: readonly string[],
  peers: Peers,
  clock: Clock,
  own: () => Promise<string>,
): MetricsSource {
  const { prometheus } = wiring.telemetry;
  if (prometheus !== undefined)
    return new PrometheusMetricsSource({ clock, url: settings.text(prometheus.url), selector: prometheus.selector });
  const here = new Set(roles);
  return new ScrapingMetricsSource({
    clock,
    own,
    ownName: roles.join('+'),
    others: () => {
      const found = new Map<string, string>();
      for (const { pid, url, roles: theirs } of peers.living())
        if (pid !== process.pid) found.set(url, theirs.join('+'));
      for (const [role, endpoint] of Object.entries(wiring.rpc.endpoints))
        if (!here.has(role)) found.set(settings.text(endpoint), role);
      return [...found].map(([url, name]) => ({ process: name, url }));
    },
  });
}

/** The topics that these units read or write, with the profile's scale; a topic that nobody here needs is not made here. */
async function ensureTopics(
  bus: Bus,
  table: UnitTable,
  selected: readonly NamedUnit[],
  profile: Profile,
): Promise<void> {
  const { topics } = profile.wiring;
  const wanted = new Set(selected.flatMap((unit) => [...unit.produces, ...(unit.consumes?.topics ?? [])]));
  const specs = [...wanted].sort().flatMap((topic) => {
    const row = table.topics[topic];
    if (row === undefined) return [];
    const { partitions, retention_ms } = topics.named?.[topic] ?? topics.default;
    return [{ topic: asTopicName(topic), partitions, recordBytesMax: row.recordBytesMax, retentionMs: retention_ms }];
  });
  if (specs.length > 0) await bus.ensureTopics(specs);
}

/**
 * As whom a role of this process calls others: the key that the wiring names, or the one that the data folder has for
 * the role, or for services at large.
 */
function serviceCredential(profile: Profile, keys: readonly LocalKey[]): (role: string) => string {
  const { service_key } = profile.wiring.identity;
  return (role) => {
    if (service_key !== undefined) return profile.settings.read(service_key);
    const local = keys.find(({ keyId }) => keyId === role) ?? keys.find(({ keyId }) => keyId === 'service');
    if (local !== undefined) return readKey(local.file);
    throw new ProbityError(
      'CONFIG_SECRET_MISSING',
      'this process has no key to call other roles with: name one under identity.service_key',
    );
  };
}

async function openApp(
  module: ReturnType<typeof composeApp>,
  profile: Profile,
  parts: Parts,
): Promise<NestFastifyApplication> {
  const { http } = profile.wiring;
  const adapter = new FastifyAdapter({
    bodyLimit: http.body_bytes_max,
    // A client that sends a byte a minute must not hold a connection for ever.
    requestTimeout: http.request_timeout_ms,
    connectionTimeout: 0,
    forceCloseConnections: 'idle',
    routerOptions: { maxParamLength: 512 },
  });
  const app = await NestFactory.create<NestFastifyApplication>(module, adapter, {
    logger: new NestLog(parts.telemetry.logger),
    abortOnError: false,
    // Bodies are read by our own rule: see substrate/http/bodies.ts.
    bodyParser: false,
  });
  const fastify = app.getHttpAdapter().getInstance();
  fastify.server.maxConnections = http.connections_max;
  observeHttp(fastify, parts.telemetry, parts.clock);
  installBodies(fastify, http.body_bytes_max);
  app.useGlobalPipes(new ValidationPipe({ whitelist: true, forbidNonWhitelisted: true, transform: true }));
  return app;
}

/** One transport per consuming unit, so that no unit's failure rejects another's delivery. */
function connectConsumers(
  app: NestFastifyApplication,
  selected: readonly NamedUnit[],
  parts: Parts,
): readonly BusServer[] {
  return selected.flatMap((unit) => {
    const { consumes } = unit;
    if (consumes === undefined) return [];
    let store: PositionStore | undefined;
    const positions = (): PositionStore => (store ??= app.get<PositionStore>(consumes.positions, { strict: false }));
    const server = new BusServer({
      bus: parts.bus,
      transportId: consumerId(unit.role),
      group: asGroupName(consumes.group),
      positions: async (partitions) => await positions().positions(partitions),
      wakesOn: (record, topic) => positions().wakesOn?.(record, topic) ?? true,
      startWhenUnknown: consumes.startWhenUnknown,
      batchRecordsMax: consumes.batchRecordsMax,
      ...(consumes.gatherMs === undefined ? {} : { gather: { forMs: consumes.gatherMs, clock: parts.clock } }),
    });
    app.connectMicroservice({ strategy: server }, { inheritAppConfig: true });
    return [server];
  });
}

async function stopAll(servers: readonly BusServer[]): Promise<void> {
  await Promise.all(servers.map((server) => server.close()));
}

async function listen(app: NestFastifyApplication, host: string, port: number): Promise<void> {
  try {
    await app.listen(port, host);
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'EADDRINUSE') throw cause;
    throw new ProbityError(
      'CONFIG_PORT_IN_USE',
      `${host}:${port} is taken by another program; choose another with --port, or 0 for any free one`,
      { cause },
    );
  }
}

function urlOf(app: NestFastifyApplication): string {
  const address = app.getHttpServer().address() as AddressInfo;
  // A process that listens everywhere is reached by its neighbours on loopback.
  const host = address.address === '0.0.0.0' || address.address === '::' ? '127.0.0.1' : address.address;
  return `http://${host.includes(':') ? `[${host}]` : host}:${address.port}`;
}

/** `name=value,name=value`, as OTLP headers are written everywhere. */
function headersOf(text: string): Readonly<Record<string, string>> {
  return Object.fromEntries(
    text.split(',').map((pair) => {
      const at = pair.indexOf('=');
      return [pair.slice(0, at).trim(), pair.slice(at + 1).trim()];
    }),
  );
}

/** What has been started, to be stopped in reverse order within one bound. */
class Undo {
  readonly #steps: ((leftMs: number) => Promise<unknown>)[] = [];

  constructor(private readonly limitMs: number) {}

  add(step: (leftMs: number) => Promise<unknown>): void {
    this.#steps.push(step);
  }

  /** A step that takes no time. */
  addNow(step: () => void): void {
    this.#steps.push(() => {
      step();
      return Promise.resolve();
    });
  }

  /** A step that fails does not keep the ones after it from running. */
  async run(): Promise<'in order' | 'cut short'> {
    const deadlineMs = performance.now() + this.limitMs;
    let outcome: 'in order' | 'cut short' = 'in order';
    for (const step of this.#steps.splice(0).reverse()) {
      const leftMs = Math.max(0, deadlineMs - performance.now());
      const ended = await settledWithin(step(leftMs), leftMs);
      if (!ended) outcome = 'cut short';
    }
    return outcome;
  }
}

async function settledWithin(work: Promise<unknown>, limitMs: number): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<false>((resolve) => {
    timer = setTimeout(() => resolve(false), limitMs);
  });
  try {
    return await Promise.race([
      work.then(
        () => true,
        () => true,
      ),
      late,
    ]);
  } finally {
    clearTimeout(timer);
  }
}
