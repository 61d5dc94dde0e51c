import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type Invocation, worldPinsOf } from '../../src/modules/data-engine/data-engine.port.js';
import { runIdOf } from '../../src/modules/scenario-runner/scenario-runner.port.js';
import { digestBytes, digestText } from '../../src/rails/digest.js';
import type { ErrorCode } from '../../src/rails/errors/registry.js';
import { ProbityError, toProblem } from '../../src/rails/errors/probity-error.js';
import { objectKey, type Ref, refTo } from '../../src/rails/ref.js';

/** What a test lets go wrong. */
export interface FakeTroubles {
  /** Rows of the world; of these so many were rejected. */
  readonly rows?: number;
  readonly rejected?: number;
  /** The run fails at its gate. */
  readonly gateFails?: boolean;
  readonly quarantined?: number;
  /** Ids that the ledger has and the bus has not. */
  readonly lost?: readonly string[];
  /** Transactions that no decision names, and intents of which no outcome is told. */
  readonly undecided?: number;
  readonly open?: number;
  /** The stream stops at this state with a reason. */
  readonly streamStopsAs?: { readonly state: 'FAILED' | 'PAUSED'; readonly code: string };
  /** Refusals before a route answers, by `METHOD /path`: each attempt takes one. */
  readonly refusals?: Record<string, ErrorCode[]>;
  /** Answers to calls with lines, in order, each a function of the lines that came. */
  readonly lineAnswers?: ((lines: readonly string[]) => string)[];
}

interface FakeRun {
  readonly request: { readonly run_equivalence_key: string; readonly world: Record<string, unknown> };
  readonly pins: Record<string, string>;
  looks: number;
  pass: number;
  streamLooks: number;
}

const AT = '2026-01-01T00:00:00.000000Z';
const POLICY = { policy_id: 'p', revision: 1, content_digest: digestText('p') };
const anyRef = (text: string): Ref => refTo(objectKey(`sr/${text}`), digestText(text), text.length, 'application/json');

const output = (output_id: string, role: string, rows: number) => ({
  output_id,
  role,
  rows,
  index: anyRef('index'),
  receipt: anyRef('receipt'),
});

const offenders = (prefix: string, count: number) => ({
  count,
  ids: Array.from({ length: count }, (_, at) => `${prefix}${at}`),
});

const NONE = offenders('', 0);

/**
 * The public routes of the door over HTTP with nothing behind them: it answers in the published shapes, remembers what was asked,
 * and lets go wrong what a test wants. For tests of the commands alone; what the units do, their own tests show.
 */
export class FakeDoor {
  readonly calls: string[] = [];
  readonly bodies: string[] = [];
  readonly #runs = new Map<string, FakeRun>();
  readonly #sources = new Set<string>();
  readonly #server: Server;
  troubles: FakeTroubles = {};

  private constructor() {
    this.#server = createServer((request, response) => {
      void this.#answer(request, response);
    });
  }

  static async open(): Promise<FakeDoor> {
    const door = new FakeDoor();
    await new Promise<void>((resolve) => door.#server.listen(0, '127.0.0.1', resolve));
    return door;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  /** Calls of a kind: `POST /v1/runs`. */
  count(call: string): number {
    return this.calls.filter((made) => made === call).length;
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const pieces: Buffer[] = [];
    for await (const piece of request as AsyncIterable<Buffer>) pieces.push(piece);
    const body = Buffer.concat(pieces);
    const [path = ''] = (request.url ?? '').split('?');
    const call = `${request.method ?? ''} ${path}`;
    this.calls.push(call);
    this.bodies.push(body.toString('utf8'));
    try {
      if (!(request.headers.authorization ?? '').startsWith('Bearer pk_'))
        throw new ProbityError('AUTHN_FAILED', 'no key');
      const refusal = this.troubles.refusals?.[call]?.shift();
      if (refusal !== undefined) throw new ProbityError(refusal, 'not now', { data: { retry_after_ms: 1 } });
      const answer = this.#route(call, body);
      const isText = typeof answer === 'string';
      response.writeHead(200, { 'content-type': isText ? 'application/x-ndjson' : 'application/json' });
      response.end(isText ? answer : JSON.stringify(answer));
    } catch (error) {
      if (!(error instanceof ProbityError)) throw error;
      response.writeHead(error.status, { 'content-type': 'application/problem+json' });
      response.end(JSON.stringify(toProblem(error)));
    }
  }

  #route(call: string, body: Buffer): unknown {
    const [, of, action] = /\/v1\/runs\/([0-9a-f]{32})(\/.*)?$/.exec(call) ?? [];
    if (of !== undefined) return this.#routeOfRun(call.split(' ')[0] ?? '', of, action ?? '', body);
    switch (call) {
      case 'GET /v1/engine/presets':
        return { presets: { handbook: { title: 'The handbook', parameters: { format: 'csv' } } } };
      case 'GET /v1/engine/packs':
        return { packs: { small: { title: 'A small world', parameters: { days: 30 } } } };
      case 'POST /v1/engine/sources':
        return this.#upload(body);
      case 'POST /v1/engine/previews':
        return this.#preview();
      case 'POST /v1/runs':
        return this.#request(JSON.parse(body.toString('utf8')) as FakeRun['request']);
      case 'GET /v1/runs':
        return { runs: [...this.#runs.values()].map((run) => this.#status(run)) };
      case 'POST /v1/transactions':
      case 'POST /v1/events/batch':
        return this.#lines(body);
      default:
        if (call.endsWith('/outputs/rejects/rows'))
          return {
            output_id: 'rejects',
            rows: [{ number: 0, row: { row: 3, reason: 'TIME_INVALID', detail: 'no time' } }],
          };
        if (call.startsWith('GET /v1/audit/runs/')) return this.#leaves(call.slice(19));
        if (call.startsWith('GET /v1/engine/worlds/')) return this.#seal(call.slice(22));
        throw new ProbityError('HTTP_NOT_FOUND', `nothing at ${call}`);
    }
  }

  #routeOfRun(method: string, id: string, action: string, body: Buffer): unknown {
    const run = this.#runs.get(id);
    if (run === undefined) throw new ProbityError('SR_RUN_NOT_FOUND', `no run ${id}`);
    switch (`${method} ${action}`) {
      case 'GET ':
        run.looks += 1;
        return this.#status(run);
      case 'GET /facts':
        return this.#facts(run);
      case 'GET /record':
        return { events: [{ event: 'RUN_ACCEPTED' }] };
      case 'POST /stream': {
        const { again } = JSON.parse(body.toString('utf8')) as { again?: boolean };
        if (run.pass === 0 || again === true) {
          run.pass += 1;
          run.streamLooks = 0;
        }
        return this.#stream(id, run);
      }
      case 'GET /stream':
        if (run.pass === 0) throw new ProbityError('WSP_STREAM_NOT_FOUND', 'nothing was streamed');
        run.streamLooks += 1;
        return this.#stream(id, run);
      case 'GET /reconciliation':
        return this.#reconciliation(id, run);
      default:
        throw new ProbityError('HTTP_NOT_FOUND', `nothing at ${method} ${action}`);
    }
  }

  #upload(body: Buffer): unknown {
    const digest = digestBytes(body);
    const outcome = this.#sources.has(digest) ? 'DUPLICATE' : 'CREATED';
    this.#sources.add(digest);
    return {
      ref: refTo(objectKey(`engine/sources/${digest}`), digest, body.byteLength, 'application/octet-stream'),
      outcome,
    };
  }

  #preview(): unknown {
    const { rows = 10, rejected = 0 } = this.troubles;
    const done = this.count('POST /v1/engine/previews') > 1;
    return {
      state: done ? 'DONE' : 'RUNNING',
      rows_read: rows,
      rows_mapped: rows - rejected,
      rows: [{ row: 1, traffic: { key: 't1', ts_utc: AT, payload: { transaction_id: 't1', amount_minor: 123 } } }],
      problems:
        rejected === 0
          ? []
          : [{ reason: 'TIME_INVALID', count: rejected, examples: [{ row: 3, detail: 'is no time' }] }],
      columns: ['a', 'b'],
    };
  }

  #request(request: FakeRun['request']): unknown {
    const id = runIdOf(request.run_equivalence_key);
    const live = request.world['kind'] === 'live';
    const pins = live
      ? {
          manifest_fingerprint: digestText('live'),
          parameter_hash: digestText('live'),
          seed: '0',
          scenario_id: String(request.world['scenario_id']),
        }
      : worldPinsOf(request.world as unknown as Invocation);
    const run = this.#runs.get(id) ?? { request, pins: { ...pins, run_id: id }, looks: 0, pass: 0, streamLooks: 0 };
    this.#runs.set(id, run);
    return this.#status(run);
  }

  #status(run: FakeRun): Record<string, unknown> {
    const kind = String(run.request.world['kind']);
    const over = kind === 'live' || run.looks >= 2;
    const failed = this.troubles.gateFails === true;
    return {
      run_id: run.pins['run_id'],
      run_equivalence_key: run.request.run_equivalence_key,
      pins: run.pins,
      kind,
      state: !over ? 'EXECUTING' : failed ? 'FAILED' : 'READY',
      reasons: over && failed ? ['GATE_FAIL'] : [],
      attempts: 1,
      requested_at_utc: AT,
      changed_at_utc: AT,
    };
  }

  get #counts(): { rows_read: number; rows_sealed: number; rows_rejected: number } {
    const { rows = 10, rejected = 0 } = this.troubles;
    return { rows_read: rows, rows_sealed: rows - rejected, rows_rejected: rejected };
  }

  #facts({ request, pins }: FakeRun): unknown {
    const live = request.world['kind'] === 'live';
    return {
      pins,
      kind: request.world['kind'],
      outputs: live ? [] : [output('labels', 'truth_products', 7)],
      gate_receipts: [],
      traffic: [{ event_type: 'transaction', schema_version: 'v1' }],
      ...(live ? {} : { counts: this.#counts }),
      plan: anyRef('plan'),
      policy_rev: POLICY,
    };
  }

  #stream(id: string, run: FakeRun): unknown {
    const { rows_sealed } = this.#counts;
    const { quarantined = 0, streamStopsAs } = this.troubles;
    const over = run.streamLooks >= 2;
    const arrived = over ? rows_sealed - quarantined : 0;
    return {
      run_id: id,
      pins: run.pins,
      pass: run.pass,
      state: !over ? 'STREAMING' : (streamStopsAs?.state ?? 'COMPLETED'),
      ...(over && streamStopsAs !== undefined
        ? { reason: { code: streamStopsAs.code, detail: 'part-00001.ndjson' } }
        : {}),
      pace: { mode: 'as_fast_as_accepted' },
      rows_total: rows_sealed,
      sent: over ? rows_sealed : 0,
      admitted: run.pass === 1 ? arrived : 0,
      duplicate: run.pass === 1 ? 0 : arrived,
      quarantined: over ? quarantined : 0,
      in_flight: 0,
      quarantined_examples: [],
      started_at_utc: AT,
      changed_at_utc: AT,
    };
  }

  #reconciliation(id: string, run: FakeRun): unknown {
    const { lost = [], quarantined = 0, undecided = 0, open = 0 } = this.troubles;
    const admitted = run.pass === 0 ? 0 : this.#counts.rows_sealed - quarantined;
    const onBus = admitted - lost.length;
    const followed = (count: number) => ({ admitted: count, on_bus: count });
    const decisions = onBus - undecided;
    return {
      state: this.calls.filter((call) => call.endsWith('/reconciliation')).length > 1 ? 'DONE' : 'RUNNING',
      run_id: id,
      admitted,
      duplicate: 0,
      quarantined,
      on_bus: onBus,
      by_type: {
        transaction: { admitted, on_bus: onBus },
        decision: followed(decisions),
        action_intent: followed(decisions),
        action_outcome: followed(decisions - open),
      },
      missing_on_bus: lost,
      not_in_ledger: [],
      more_than_once_on_bus: [],
      other_content: [],
      reconciled: lost.length === 0,
      custody: {
        decisions,
        actions_planned: decisions,
        intents: decisions,
        outcomes: decisions - open,
        undecided: undecided === 0 ? {} : { transaction: offenders('t', undecided) },
        decided_without_event: NONE,
        planned_without_intent: NONE,
        intents_unplanned: NONE,
        intents_open: offenders('i', open),
        outcomes_orphaned: NONE,
      },
    };
  }

  /** Every record has its leaf: four of each transaction. */
  #leaves(id: string): unknown {
    const transactions = this.#counts.rows_sealed;
    return {
      run_id: id,
      by_kind: { event: transactions, decision: transactions, intent: transactions, outcome: transactions },
    };
  }

  #seal(fingerprint: string): unknown {
    const run = [...this.#runs.values()].find(({ pins }) => pins['manifest_fingerprint'] === fingerprint);
    if (run === undefined) throw new ProbityError('ENGINE_WORLD_NOT_FOUND', 'no such world');
    const { run_id: _, ...pins } = run.pins;
    const { rejected = 0 } = this.troubles;
    return {
      status: 'SEALED_FAILED',
      kind: run.request.world['kind'],
      pins,
      format: 1,
      parameters: anyRef('parameters'),
      outputs: rejected === 0 ? [] : [output('rejects', 'audit_evidence', rejected)],
      counts: { ...this.#counts, rejected_by_reason: rejected === 0 ? {} : { TIME_INVALID: rejected } },
      reason_codes: ['REJECTS_ABOVE_LIMIT'],
    };
  }

  #lines(body: Buffer): string {
    const lines = body.toString('utf8').trimEnd().split('\n');
    const scripted = this.troubles.lineAnswers?.shift();
    if (scripted !== undefined) return scripted(lines);
    return lines.map(() => `${JSON.stringify({ decision: 'ADMIT', receipt_id: 'r', retryable: false })}\n`).join('');
  }
}
