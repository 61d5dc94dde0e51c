import { createHmac, randomUUID, timingSafeEqual } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { ActionsLayerConsumer } from '../../src/modules/actions-layer/actions-layer.consumer.js';
import { type ActionsPolicy, ACTIONS_POLICY } from '../../src/modules/actions-layer/actions-layer.policy.js';
import { ActionSignals } from '../../src/modules/actions-layer/actions-layer.signals.js';
import { ActionsLayerStore } from '../../src/modules/actions-layer/actions-layer.store.js';
import { OutcomePublisher } from '../../src/modules/actions-layer/outcome.publisher.js';
import { ActionExecutor } from '../../src/modules/actions-layer/outward/action-executor.js';
import type { Resolve } from '../../src/modules/actions-layer/outward/address-guard.js';
import { TargetCaller } from '../../src/modules/actions-layer/outward/target.caller.js';
import type { Target } from '../../src/modules/actions-layer/outward/targets.schema.js';
import { WorkStore } from '../../src/modules/actions-layer/outward/work.store.js';
import { IngestionGatePort } from '../../src/modules/ingestion-gate/ingestion-gate.port.js';
import { systemActor } from '../../src/rails/actor.js';
import { canonicalJson } from '../../src/rails/canonical-json.js';
import { digestText } from '../../src/rails/digest.js';
import { ProbityError } from '../../src/rails/errors/probity-error.js';
import type { ActionOutcome } from '../../src/rails/events/action-outcome.schema.js';
import { sealPolicy } from '../../src/rails/policy-rev.js';
import type { Offset, RecordBatch } from '../../src/substrate/bus/bus.port.js';
import type { Clock } from '../../src/substrate/clock/clock.port.js';
import type { Database } from '../../src/substrate/database/database.port.js';
import { StaticPolicies } from '../../src/substrate/policy/policy.port.js';
import { type SecretRef, Secrets } from '../../src/substrate/secrets/secrets.port.js';
import { recordedTelemetry } from '../support/telemetry.js';
import { recordOf, runPins, TRAFFIC } from './feature-plane.kit.js';

export const ALLOW: ActionsPolicy = {
  posture: 'NORMAL',
  kill_switches: [],
  rules: [
    { id: 'record', effect: 'allow', origins: ['DF'], scope: 'payment', action_type: 'record' },
    { id: 'all', effect: 'allow', scope: '*', action_type: '*' },
  ],
  targets: {},
};

/** A gate that keeps what it was told. */
export class ToldGate extends IngestionGatePort {
  readonly told: string[] = [];
  answer: 'ADMIT' | 'QUARANTINE' | 'down' | 'lost' = 'ADMIT';

  submit({ events }: { events: string[] }) {
    if (this.answer === 'down') return Promise.reject(new ProbityError('IG_LEDGER_UNHEALTHY', 'down'));
    this.told.push(...events);
    if (this.answer === 'lost') return Promise.reject(new ProbityError('RPC_DEADLINE_EXCEEDED', 'lost'));
    const decision = this.answer;
    const reason_codes = decision === 'QUARANTINE' ? ['SCHEMA_FAIL'] : [];
    return Promise.resolve({
      results: events.map(() => ({ decision, receipt_id: digestText('r'), reason_codes, retryable: false })) as never,
    });
  }

  /** What was told, as outcomes. */
  outcomes(): readonly ActionOutcome[] {
    return this.told.map((text) => (JSON.parse(text) as { payload: ActionOutcome }).payload);
  }

  receipts(): never {
    throw new Error('nobody asks here');
  }
  reconcile(): never {
    throw new Error('nobody asks here');
  }
}

export const pins = runPins('actions');

/** An intent that no other test has: what is taken stays taken. */
export function intent(change: object = {}) {
  const id = randomUUID();
  return {
    action_domain: 'txn_disposition',
    action_type: 'record',
    action_key: 'primary',
    idempotency_key: digestText(`key ${id}`),
    target: { type: 'transaction', id: `p-${id}` },
    decision_id: digestText(`decision ${id}`),
    scope: 'payment',
    entity_key: 'card-1',
    origin: 'DF',
    actor: systemActor('df'),
    outcome: 'DECLINE',
    reason_codes: ['COUNTRY_BLOCKED'],
    policy_rev: sealPolicy('df.decision', 1, {}).policy_rev,
    ...change,
  };
}
export type Intent = ReturnType<typeof intent>;

export function envelope(one: Intent): string {
  return canonicalJson({
    ...pins,
    event_id: one.idempotency_key,
    event_type: 'action_intent',
    schema_version: 'v1',
    producer: 'decision-fabric',
    ts_utc: '2018-04-01T00:00:31.000000Z',
    payload: one,
  });
}

export function batch(...texts: readonly string[]): RecordBatch {
  return {
    topic: TRAFFIC,
    partition: 0,
    records: texts.map((text, offset) => recordOf(text, offset)),
    nextOffset: texts.length as Offset,
    highWater: texts.length as Offset,
  };
}

/** Secrets of the receiver: one that signs, and an address that is nobody's business. */
export const SIGNING = `whsec_${Buffer.from('a key of thirty-two bytes, no less').toString('base64')}`;

export class HeldSecrets extends Secrets {
  readonly held: Record<string, string> = { SIGNING };

  read(ref: SecretRef): string {
    const value = 'env' in ref ? this.held[ref.env] : undefined;
    if (value === undefined) throw new ProbityError('CONFIG_SECRET_MISSING', 'the variable is not set');
    return value;
  }
}

/** What the receiver does with a delivery: an answer, or silence before or after the effect. */
export type Manner =
  number | 'silent before' | 'silent after' | { readonly status: number; readonly headers: Record<string, string> };

export interface Delivery {
  readonly id: string;
  readonly body: string;
  readonly genuine: boolean;
}

/** Somebody outside: has the effect once per `webhook-id`, as real receivers do, and counts what was delivered. */
export class Receiver {
  readonly deliveries: Delivery[] = [];
  readonly effects = new Map<string, number>();
  readonly asked: string[] = [];
  readonly paths: string[] = [];
  /** Deliveries that were not met with silence. */
  answered = 0;
  manners: Manner[] = [];
  readonly #server: Server;
  #arrived: (() => void)[] = [];

  /** @param usual what happens to a delivery of which nothing else was said */
  constructor(private readonly usual: () => Manner = () => 200) {
    this.#server = createServer((request, response) => {
      void this.#serve(request, response);
    });
  }

  async open(): Promise<this> {
    await new Promise<void>((open) => this.#server.listen(0, '127.0.0.1', open));
    return this;
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((closed) => this.#server.close(closed));
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  forget(): void {
    this.deliveries.length = 0;
    this.effects.clear();
    this.asked.length = 0;
    this.paths.length = 0;
    this.answered = 0;
    this.manners = [];
  }

  /** Resolves with the next request that arrives. */
  async arrival(): Promise<void> {
    await new Promise<void>((arrived) => this.#arrived.push(arrived));
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const body = Buffer.concat(chunks).toString();
    const id = String(request.headers['webhook-id']);
    const path = request.url ?? '';
    this.paths.push(path);
    const arrived = this.#arrived;
    this.#arrived = [];
    try {
      if (request.method === 'GET') {
        this.asked.push(id);
        response.writeHead(this.effects.has(decodeURIComponent(path.split('/').at(-1) ?? '')) ? 200 : 404).end();
        return;
      }
      this.deliveries.push({ id, body, genuine: isGenuine(request.headers, body) });
      const manner = this.manners.shift() ?? this.usual();
      const status = typeof manner === 'object' ? manner.status : manner === 'silent after' ? 200 : manner;
      const had = this.effects.get(id) ?? 0;
      if (typeof status === 'number' && status >= 200 && status < 300) this.effects.set(id, had === 0 ? 1 : had);
      if (typeof manner === 'string') return;
      const headers = typeof manner === 'object' ? manner.headers : { 'x-request-id': `receipt-${this.effects.size}` };
      response.writeHead(Number(status), headers).end('{"ok":true}');
      this.answered += 1;
    } finally {
      for (const one of arrived) one();
    }
  }
}

/** As the specification says it, without the code that signs. */
export function isGenuine(headers: Readonly<Record<string, unknown>>, body: string): boolean {
  const key = Buffer.from(SIGNING.slice('whsec_'.length), 'base64');
  const signed = `${String(headers['webhook-id'])}.${String(headers['webhook-timestamp'])}.${body}`;
  const wanted = createHmac('sha256', key).update(signed).digest();
  return String(headers['webhook-signature'])
    .split(' ')
    .some((one) => {
      const given = Buffer.from(one.replace(/^v1,/, ''), 'base64');
      return given.length === wanted.length && timingSafeEqual(given, wanted);
    });
}

/** A target that is the receiver. */
export function targetAt(port: number, change: Partial<Target> = {}): Target {
  return {
    url: `http://127.0.0.1:${port}/hook`,
    secret: { env: 'SIGNING' },
    deduplicates: true,
    allow_private: true,
    allow_plain_http: true,
    timeout_ms: 1_000,
    concurrency_max: 16,
    retry: { attempts_max: 3, first_wait_ms: 1_000, wait_max_ms: 10_000, give_up_after_s: 3_600 },
    breaker: { window: 100, failures_pct: 100, open_ms: 5_000 },
    ...change,
  };
}

export interface WorkerParts {
  readonly database: Database;
  readonly clock: Clock;
  readonly policy: ActionsPolicy;
  readonly gate?: ToldGate;
  readonly secrets?: Secrets;
  readonly resolve?: Resolve;
  readonly random?: () => number;
}

/** One life of the unit, without its loops: a test turns them by hand, or starts them. */
export interface Worker {
  readonly consumer: ActionsLayerConsumer;
  readonly executor: ActionExecutor;
  readonly publisher: OutcomePublisher;
  readonly logs: () => readonly { readonly event: string }[];
  /** Another policy is in force from now on. */
  readonly activate: (policy: ActionsPolicy) => void;
  readonly close: () => void;
}

export function workerOf({ database, clock, policy, gate, secrets, resolve, random }: WorkerParts): Worker {
  const { telemetry, lines } = recordedTelemetry();
  const inForce = new Map([[ACTIONS_POLICY.policy_id, sealPolicy('al.actions', 1, policy as never)]]);
  const policies = new StaticPolicies(inForce);
  const store = new ActionsLayerStore(database);
  const signals = new ActionSignals(telemetry);
  const publisher = new OutcomePublisher(store, gate ?? new ToldGate(), signals, clock, telemetry);
  const caller = new TargetCaller(secrets ?? new HeldSecrets(), clock, resolve);
  const work = new WorkStore(database);
  const executor = new ActionExecutor(work, caller, policies, publisher, signals, clock, telemetry, random);
  return {
    executor,
    publisher,
    consumer: new ActionsLayerConsumer(store, policies, publisher, executor, signals, clock, telemetry),
    logs: () => lines() as readonly { readonly event: string }[],
    activate: (next) => {
      inForce.set(ACTIONS_POLICY.policy_id, sealPolicy('al.actions', 2, next as never));
    },
    close: () => {
      caller.close();
    },
  };
}
