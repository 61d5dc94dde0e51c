import { Injectable } from '@nestjs/common';
import { type Context, type Counter, trace } from '@opentelemetry/api';
import { ProbityError } from '../../rails/errors/probity-error.js';
import type { Principal } from '../../substrate/identity/identity.port.js';
import { Clock } from '../../substrate/clock/clock.port.js';
import { Policies, type PolicyInForce } from '../../substrate/policy/policy.port.js';
import { outgoing } from '../../substrate/rpc/outgoing.js';
import { GoldenSignals } from '../../substrate/telemetry/golden-signals.js';
import { Telemetry } from '../../substrate/telemetry/telemetry.port.js';
import { IngestionGatePort, type SubmitResult } from '../ingestion-gate/ingestion-gate.port.js';
import { type EdgeResult, resultOfFault, resultOfGate } from './edge.result.js';
import { EDGES_POLICY, type EdgesPolicySchema } from './producer-edges.policy.js';
import { RunBindings } from './run-bindings.js';
import type { Made, Stamp, TraceIds } from './transaction.core.js';

/** An edge at work: who sends, how, and into which run. */
export interface Edge extends Stamp {
  readonly via: 'http' | 'cloudevents' | 'bus';
}

/** How much goes to the gate in one call: enough that its commit is shared, little enough for one RPC body. */
const CALL_EVENTS_MAX = 500;
const CALL_CHARACTERS_MAX = 2 * 1024 * 1024;
/**
 * How long a call, with its repetitions while the gate has no room, may take: over HTTP somebody waits and can be told when to
 * come again, a source has nothing better to do.
 */
const CALL_LIMIT_MS = { http: 5_000, cloudevents: 5_000, bus: 30_000 } as const;

/** Makes messages into events of a named producer and hands them to the gate. */
@Injectable()
export class ProducerEdgesService {
  readonly #calls: GoldenSignals;
  readonly #results: Counter;
  #principals: { readonly policy: PolicyInForce<typeof EdgesPolicySchema>; readonly edges: PrincipalEdges } | undefined;

  constructor(
    private readonly gate: IngestionGatePort,
    private readonly bindings: RunBindings,
    private readonly policies: Policies,
    private readonly clock: Clock,
    private readonly telemetry: Telemetry,
  ) {
    const { meter } = telemetry;
    this.#calls = new GoldenSignals({ meter, clock, name: 'edge.submit', of: 'calls of edges to the gate' });
    this.#results = meter.createCounter('edge.results', {
      description: 'Messages at the edges, by producer, way in, decision and code',
    });
  }

  /**
   * The edge of a caller, bound to its run.
   * @throws EDGE_UNKNOWN, and why the run cannot be used: see RunBindings
   */
  async edgeOf({ actor }: Principal, via: Edge['via']): Promise<Edge> {
    const entry = this.#edges().get(actor.actor_id);
    if (entry === undefined) {
      throw new ProbityError('EDGE_UNKNOWN', `the policy edge.producers lists no edge for ${actor.actor_id}`);
    }
    return { producer: entry.producer, via, pins: await this.bindings.pinsOf(entry.run_equivalence_key) };
  }

  /**
   * One result per message, in their order: those that could be made go to the gate, in as few calls as it takes.
   * @throws what the gate's `submit` throws; what was taken before it is recognised when it is sent again
   */
  async submit(
    edge: Edge,
    messages: readonly Made[],
    { trace: context, signal }: { readonly trace: Context; readonly signal?: AbortSignal },
  ): Promise<readonly EdgeResult[]> {
    const results: EdgeResult[] = [];
    for (const call of callsOf(messages)) {
      const answers = await this.#call(edge, call, { trace: context, ...(signal === undefined ? {} : { signal }) });
      let next = 0;
      for (const made of call)
        results.push(made.ok ? resultOfGate(made, demanded(answers[next++])) : resultOfFault(made));
    }
    this.#record(edge, results, context);
    return results;
  }

  async #call(
    edge: Edge,
    call: readonly Made[],
    options: { readonly trace: Context; readonly signal?: AbortSignal },
  ): Promise<readonly SubmitResult[]> {
    const events = call.flatMap((made) => (made.ok ? [made.text] : []));
    if (events.length === 0) return [];
    const attributes = { producer: edge.producer, via: edge.via };
    const { results } = await this.#calls.observe(attributes, () =>
      this.gate.submit({ events }, outgoing(this.clock, CALL_LIMIT_MS[edge.via], options)),
    );
    if (results.length !== events.length) {
      throw new ProbityError('INTERNAL', `the gate answered ${results.length} of ${events.length} events`);
    }
    return results;
  }

  #record(edge: Edge, results: readonly EdgeResult[], context: Context): void {
    const counts = new Map<string, { readonly decision: string; readonly code: string; count: number }>();
    for (const { decision, code = 'none' } of results) {
      const entry = counts.get(`${decision} ${code}`) ?? { decision, code, count: 0 };
      entry.count += 1;
      counts.set(`${decision} ${code}`, entry);
    }
    const { producer, via } = edge;
    for (const { decision, code, count } of counts.values()) {
      this.#results.add(count, { producer, via, decision, code });
    }
    // One line per batch: counts and codes, never a message.
    this.telemetry.logger.info('edge_batch', {
      ...edge.pins,
      trace: context,
      producer,
      via,
      outcomes: Object.fromEntries([...counts.values()].map((each) => [`${each.decision}:${each.code}`, each.count])),
    });
  }

  #edges(): PrincipalEdges {
    const policy = this.policies.inForce(EDGES_POLICY);
    if (this.#principals?.policy !== policy) {
      const edges = policy.body.http.flatMap((entry) => entry.principals.map((name) => [name, entry] as const));
      this.#principals = { policy, edges: new Map(edges) };
    }
    return this.#principals.edges;
  }
}

type PrincipalEdges = ReadonlyMap<string, { readonly producer: string; readonly run_equivalence_key: string }>;

/** The trace of a piece of work as the envelope names it. */
export function traceIdsOf(context: Context): TraceIds | undefined {
  const span = trace.getSpanContext(context);
  if (span === undefined || !trace.isSpanContextValid(span)) return undefined;
  return { trace_id: span.traceId, span_id: span.spanId };
}

/** Messages in pieces of one call each. */
function* callsOf(messages: readonly Made[]): Generator<readonly Made[], void> {
  let [from, events, characters] = [0, 0, 0];
  for (const [index, made] of messages.entries()) {
    const length = made.ok ? made.text.length : 0;
    if (index > from && (events === CALL_EVENTS_MAX || characters + length > CALL_CHARACTERS_MAX)) {
      yield messages.slice(from, index);
      [from, events, characters] = [index, 0, 0];
    }
    events += made.ok ? 1 : 0;
    characters += length;
  }
  if (from < messages.length) yield messages.slice(from);
}

function demanded(result: SubmitResult | undefined): SubmitResult {
  if (result === undefined) throw new ProbityError('INTERNAL', 'the gate answered fewer events than it was given');
  return result;
}
