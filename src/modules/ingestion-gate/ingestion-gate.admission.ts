import { Injectable, type OnModuleDestroy, type OnModuleInit } from '@nestjs/common';
import { type Context } from '@opentelemetry/api';
import { type Digest } from '../../rails/digest.js';
import { asTopicName } from '../../rails/eb-ref.js';
import { ProbityError } from '../../rails/errors/probity-error.js';
import { PAYLOADS } from '../../rails/events/catalogue.js';
import { About } from '../../substrate/about.js';
import { Bus } from '../../substrate/bus/bus.port.js';
import { Clock } from '../../substrate/clock/clock.port.js';
import { type Principal } from '../../substrate/identity/identity.port.js';
import { Objects } from '../../substrate/objects/objects.port.js';
import { Policies, type PolicyInForce } from '../../substrate/policy/policy.port.js';
import { Telemetry } from '../../substrate/telemetry/telemetry.port.js';
import { Evidence } from './evidence.js';
import { gateFault } from './faults.js';
import { ingressState, RateLimiter } from './ingress.core.js';
import { inspect, type Inspected, isRefusal, place, type Refusal, runsOf } from './ingestion-gate.core.js';
import {
  Gate,
  type IngressState,
  type QuarantineEntry,
  type QuarantinePage,
  type QuarantineQuery,
  type Submission,
  type SubmissionContext,
} from './ingestion-gate.gate.js';
import { ADMISSION_POLICY } from './ingestion-gate.policy.js';
import { type AdmissionPolicySchema, type Receipt, type Reconciliation, TRAFFIC_TOPIC } from './ingestion-gate.port.js';
import { RunFactsReader } from './ingestion-gate.runs.js';
import { EmbeddedLane } from './ledger/embedded.lane.js';
import { type Lane } from './ledger/ledger.js';
import { LedgerStore } from './ledger/ledger.store.js';
import { ReceiptsStore } from './ledger/receipts.store.js';
import { ReservationsStore } from './ledger/reservations.store.js';
import { TwoStepLane } from './ledger/two-step.lane.js';
import { Pipeline } from './pipeline.js';
import { Reconciler } from './reconciliation.js';
import { AdmissionRules, PayloadCatalogue } from './rules.core.js';
import { GateSignals } from './signals.js';
import { type Arrival, BatchWriter, type Judged } from './writer.js';

type Policy = PolicyInForce<typeof AdmissionPolicySchema>;

/** A policy together with what judging by it needs, made once per revision. */
interface Ruling {
  readonly policy: Policy;
  readonly rules: AdmissionRules;
}

/** Judging a thousand events takes some 25 ms; between slices of it the answers of the database get their turn. */
const SLICE_EVENTS = 128;

/** The gate itself: policy, runs, judgement, writer and memory of what was decided. */
@Injectable()
export class AdmissionGate extends Gate implements OnModuleInit, OnModuleDestroy {
  readonly #topic = asTopicName(TRAFFIC_TOPIC);
  readonly #catalogue = new PayloadCatalogue(PAYLOADS);
  readonly #rates = new RateLimiter();
  readonly #runs: RunFactsReader;
  readonly #lane: Lane;
  readonly #writer: BatchWriter;
  readonly #pipeline: Pipeline<Ruling>;
  readonly #signals: GateSignals;
  #ruling: Ruling | undefined;

  constructor(
    private readonly policies: Policies,
    private readonly clock: Clock,
    private readonly bus: Bus,
    private readonly telemetry: Telemetry,
    private readonly receipts: ReceiptsStore,
    private readonly evidence: Evidence,
    private readonly reconciler: Reconciler,
    store: LedgerStore,
    objects: Objects,
    about: About,
  ) {
    super();
    this.#lane = this.#laneOf(store);
    this.#runs = new RunFactsReader(objects, clock);
    this.#writer = new BatchWriter({ store, lane: this.#lane, evidence, about, clock, topic: this.#topic });
    this.#pipeline = new Pipeline<Ruling>({
      judge: (arrivals) => this.#judge(arrivals),
      write: ({ judged, policy }) => this.#write(judged, policy),
      fault: gateFault,
    });
    this.#signals = new GateSignals(telemetry, clock, {
      ingress: () => this.ingress().state,
      waitingBytes: () => this.#pipeline.waitingBytes,
      pending: () => this.#lane.pending(),
    });
  }

  async onModuleInit(): Promise<void> {
    await this.#lane.open();
  }

  async onModuleDestroy(): Promise<void> {
    await this.#pipeline.drained();
    await this.#lane.close();
  }

  async admit(events: readonly Submission[], context: SubmissionContext): Promise<readonly Receipt[]> {
    return await this.#signals.calls.observe({}, async () => {
      const principalId = context.principal.actor.actor_id;
      this.#demandRoom(principalId, events.length);
      const headers = this.#headers(context.trace);
      const superseded = await this.#superseded(events);
      const arrivals = events.map(({ text, supersedes }): Arrival => {
        const old = supersedes === undefined ? undefined : superseded.get(supersedes);
        return { text, principalId, headers, ...(old === undefined ? {} : { supersedes: old }) };
      });
      return await this.#pipeline.submit(arrivals, context.signal);
    });
  }

  ingress(): { readonly state: IngressState; readonly retryAfterMs: number } {
    return ingressState(this.#pipeline.waitingBytes, this.#rule().policy.body.limits);
  }

  async receipt(receiptId: Digest): Promise<Receipt | null> {
    return await this.#answered(this.receipts.receipt(receiptId));
  }

  async receiptsOfEvent(eventId: string, runId?: string): Promise<readonly Receipt[]> {
    return await this.#answered(this.receipts.ofEvent(eventId, runId));
  }

  async receiptsOfEvents(eventIds: readonly string[], runId?: string): Promise<readonly (Receipt | null)[]> {
    return await this.#answered(this.receipts.ofEvents(eventIds, runId));
  }

  async quarantine(query: QuarantineQuery): Promise<QuarantinePage> {
    return await this.#answered(this.receipts.page(query));
  }

  async quarantined(id: Digest): Promise<QuarantineEntry | null> {
    return await this.#answered(this.receipts.entry(id));
  }

  async readEvidence(id: Digest, reader: Principal, purpose: string): Promise<Buffer | null> {
    return await this.#answered(this.#readEvidence(id, reader, purpose));
  }

  async reconcile(runId: string): Promise<Reconciliation> {
    return await Promise.resolve(this.reconciler.reconcile(runId));
  }

  /** By what the bus can do, never by what it is called. */
  #laneOf(store: LedgerStore): Lane {
    const { transactional } = this.bus;
    if (transactional !== undefined) return new EmbeddedLane(store, transactional, this.#topic);
    return new TwoStepLane({
      store,
      reservations: new ReservationsStore(store.database),
      bus: this.bus,
      topic: this.#topic,
      clock: this.clock,
      logger: this.telemetry.logger,
    });
  }

  async #readEvidence(id: Digest, reader: Principal, purpose: string): Promise<Buffer | null> {
    const place = await this.receipts.evidence(id);
    if (place === null) throw new ProbityError('IG_QUARANTINE_NOT_FOUND', 'nothing was quarantined under this id');
    // Before the bytes are handed out, so that no reading goes unrecorded; one that fails after this was tried all the same.
    await this.receipts.recordRead(id, reader, purpose);
    return await this.evidence.raw(place.ref, place.range, place.rawDigest);
  }

  /** @throws IG_PAUSED, IG_RATE_LIMITED before anything is remembered of the call */
  #demandRoom(principalId: string, count: number): void {
    const { limits } = this.#rule().policy.body;
    const { state, retryAfterMs } = ingressState(this.#pipeline.waitingBytes, limits);
    const data = { retry_after_ms: retryAfterMs };
    if (state === 'PAUSE') throw new ProbityError('IG_PAUSED', 'too much waits to be admitted', { data });
    if (state === 'THROTTLE') throw new ProbityError('IG_RATE_LIMITED', 'much waits to be admitted', { data });
    if (limits.rate_per_s === undefined) return;
    const waitMs = this.#rates.take(principalId, count, limits.rate_per_s, this.clock.monotonicMs());
    if (waitMs > 0)
      throw new ProbityError('IG_RATE_LIMITED', 'the caller sends more than its policy allows', {
        data: { retry_after_ms: waitMs },
      });
  }

  /** Of the quarantined events that are superseded: whether they are there, and which ids they had. Seldom any. */
  async #superseded(events: readonly Submission[]) {
    const found = new Map<Digest, NonNullable<Arrival['supersedes']>>();
    for (const { supersedes: id } of events) {
      if (id === undefined || found.has(id)) continue;
      const entry = await this.#answered(this.receipts.entry(id));
      if (entry === null) throw new ProbityError('IG_QUARANTINE_NOT_FOUND', 'nothing was quarantined under this id');
      found.set(id, { id, eventId: entry.receipt.event_id ?? null });
    }
    return found;
  }

  #headers(trace: Context): Readonly<Record<string, string>> {
    const headers: Record<string, string> = {};
    this.telemetry.inject(trace, headers);
    return headers;
  }

  async #judge(arrivals: readonly Arrival[]): Promise<{ judged: readonly Judged[]; policy: Ruling }> {
    // Taken once: every receipt of the batch cites this revision.
    const policy = this.#rule();
    const { rules } = policy;
    const verdicts: (Inspected | Refusal)[] = [];
    for (let start = 0; start < arrivals.length; start += SLICE_EVENTS) {
      if (start > 0) await nextTurn();
      for (const { text, principalId, supersedes } of arrivals.slice(start, start + SLICE_EVENTS))
        verdicts.push(inspect(text, { principalId, ...(supersedes === undefined ? {} : { supersedes }) }, rules));
    }
    const facts = await this.#runs.facts(runsOf(verdicts));
    const judged = arrivals.map((arrival, index): Judged => {
      const verdict = verdicts[index];
      if (verdict === undefined) throw new ProbityError('INTERNAL', 'an event was not inspected');
      if (isRefusal(verdict)) return { arrival, verdict };
      const run = facts.get(verdict.pins.run_id);
      if (run === undefined) throw new ProbityError('INTERNAL', 'a run was not looked at');
      return { arrival, verdict: place(verdict, run) };
    });
    return { judged, policy };
  }

  async #write(judged: readonly Judged[], { policy, rules }: Ruling) {
    const partitions = await this.bus.partitionsOf(this.#topic);
    const { keepRaw, partitioningProfile } = rules;
    const batchPolicy = { policyRev: policy.policy_rev, partitioningProfile, keepRaw };
    return await this.#signals.batch(
      (name) => rules.knowsProducer(name),
      () => this.#writer.write(judged, batchPolicy, partitions),
    );
  }

  /** @throws IG_POLICY_UNAVAILABLE */
  #rule(): Ruling {
    let policy: Policy;
    try {
      policy = this.policies.inForce(ADMISSION_POLICY);
    } catch (cause) {
      throw new ProbityError('IG_POLICY_UNAVAILABLE', 'there is no admission policy to judge by', { cause });
    }
    if (this.#ruling?.policy !== policy)
      this.#ruling = { policy, rules: new AdmissionRules(policy.body, this.#catalogue) };
    return this.#ruling;
  }

  async #answered<Result>(work: Promise<Result>): Promise<Result> {
    try {
      return await work;
    } catch (fault) {
      throw gateFault(fault);
    }
  }
}

function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
