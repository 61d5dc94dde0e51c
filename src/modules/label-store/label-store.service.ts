import { Injectable } from '@nestjs/common';
import type { Static } from '@sinclair/typebox';
import type { Counter, Histogram } from '@opentelemetry/api';
import type { Actor } from '../../rails/actor.js';
import { ERRORS } from '../../rails/errors/registry.js';
import { ProbityError } from '../../rails/errors/probity-error.js';
import type { Label } from '../../rails/events/label.schema.js';
import { targetKey } from '../../rails/labels/target.js';
import { compareUtc, fromEpochMs, toEpochMicros, type UtcMicros } from '../../rails/time.js';
import { Clock } from '../../substrate/clock/clock.port.js';
import { Policies } from '../../substrate/policy/policy.port.js';
import type { CallContext } from '../../substrate/rpc/rpc.port.js';
import { GoldenSignals } from '../../substrate/telemetry/golden-signals.js';
import { Telemetry } from '../../substrate/telemetry/telemetry.port.js';
import { draftOf, type Draft, type Entry, entryOf, isRefusal, type Refusal } from './assertion.core.js';
import type { AssertResult } from './assertion.schema.js';
import { LabelCounts } from './label-counts.js';
import { submissionsOf } from './submission.core.js';
import { SubmissionsStore } from './submissions.store.js';
import { LabelTargets } from './label-targets.js';
import { LabelTeller } from './label-teller.job.js';
import { type Answers, type Asked, LabelSlices } from './label-slices.js';
import { type Appended, LedgerStore } from './ledger.store.js';
import { type ResolutionRule, STORE_POLICY, type StorePolicy } from './label-store.policy.js';
import type {
  AsOf,
  AsOfRequest,
  AssertRequest,
  AssertResponse,
  CountsRequest,
  LabelCountsAnswer,
  LabelStorePort,
  Slice,
  SliceRequest,
} from './label-store.port.js';
import { LabelStoreStore } from './label-store.store.js';
import { type Answer, type Question, resolve } from './resolution.core.js';

/** An hour to a year: chargebacks come after weeks. */
const LATENESS_BUCKETS_S = [3_600, 86_400, 7 * 86_400, 30 * 86_400, 60 * 86_400, 120 * 86_400, 365 * 86_400];

/** Takes what writers say into the ledger, and answers what was known when. */
@Injectable()
export class LabelStoreService implements LabelStorePort, Answers {
  readonly #signals: GoldenSignals;
  readonly #results: Counter;
  readonly #answers: Counter;
  readonly #lateness: Histogram;

  constructor(
    private readonly ledger: LedgerStore,
    private readonly store: LabelStoreStore,
    private readonly targets: LabelTargets,
    private readonly teller: LabelTeller,
    private readonly slices: LabelSlices,
    private readonly submissions: SubmissionsStore,
    private readonly labelCounts: LabelCounts,
    private readonly policies: Policies,
    private readonly clock: Clock,
    private readonly telemetry: Telemetry,
  ) {
    const { meter } = telemetry;
    this.#signals = new GoldenSignals({ meter, clock, name: 'labels.requests', of: 'reads and writes of labels' });
    this.#results = meter.createCounter('labels.results', {
      description: 'Labels that writers sent, by outcome, namespace, type and code',
    });
    this.#answers = meter.createCounter('labels.answers', { description: 'What was known, by state and rule' });
    this.#lateness = meter.createHistogram('labels.lateness', {
      description: 'How long after it happened a label became known',
      unit: 's',
      advice: { explicitBucketBoundaries: LATENESS_BUCKETS_S },
    });
  }

  async assert({ labels }: Static<typeof AssertRequest>, context: CallContext): Promise<Static<typeof AssertResponse>> {
    return { results: await this.append(labels, context.caller.actor, context) };
  }

  /** One result per label, in their order, in the name of whoever was authenticated. */
  async append(raw: readonly unknown[], actor: Actor, context: CallContext): Promise<AssertResult[]> {
    return await this.#signals.observe({ method: 'assert' }, async () => {
      const { policy_rev: policyRev, body } = this.policies.inForce(STORE_POLICY);
      const now = this.#now();
      const policy = body;
      const drafts = raw.map((each) => draftOf(each, { actor, policy, now }));
      const sound = drafts.filter((draft): draft is Draft => !isRefusal(draft));
      const found = sound.length === 0 ? [] : await this.targets.find(sound, policy.transaction_producers, context);
      const entries = new Map<Draft, Entry | Refusal>();
      sound.forEach((draft, index) => {
        const target = found[index];
        if (target === undefined) throw new TypeError('one answer per draft');
        entries.set(draft, isRefusal(target) ? target : entryOf(draft, target, { actor, policyRev, now }));
      });
      const wanted = [...entries.values()].filter((entry): entry is Entry => !isRefusal(entry));
      const [appended, results] = await this.ledger.record(wanted, now, async (transaction, done) => {
        const of = new Map(wanted.map((entry, index) => [entry, done[index]]));
        const answers = drafts.map((draft): AssertResult => {
          const entry = isRefusal(draft) ? draft : entries.get(draft);
          if (entry === undefined || isRefusal(entry)) return resultOf(undefined, entry);
          return resultOf(entry, of.get(entry));
        });
        await this.submissions.note(transaction, submissionsOf(raw, answers), now);
        return [done, answers] as const;
      });
      if (appended.some(({ outcome }) => outcome === 'ACCEPTED')) this.teller.wake();
      wanted.forEach((entry, index) => this.#late(entry, appended[index]));
      this.#tell(drafts, results, actor);
      return [...results];
    });
  }

  /** Rows that never became labels, for whoever asks what became of all of them; `row` from 1. */
  async refused(
    of: { readonly runId: string; readonly namespace: string },
    rows: readonly { readonly row: number; readonly code: string }[],
  ): Promise<void> {
    const refusals = rows.map(({ row, code }) => ({ handle: `#${row}`, code }));
    await this.submissions.noteRefused(of, refusals, this.#now());
  }

  async counts(request: Static<typeof CountsRequest>): Promise<LabelCountsAnswer> {
    return await this.#signals.observe({ method: 'counts' }, async () => await this.labelCounts.of(request));
  }

  async asOf(request: Static<typeof AsOfRequest>): Promise<AsOf> {
    return await this.#signals.observe({ method: 'as_of' }, async () => {
      const { question, cut, basis } = await this.asked(request);
      const targets = request.targets as Parameters<LedgerStore['knownOf']>[2];
      const known = await this.ledger.knownOf(request.run_id, request.label_type, targets, cut);
      const answers = targets.map((target) => this.answer(known.get(targetKey(target)) ?? [], question));
      return { answers: answers as unknown as AsOf['answers'], basis };
    });
  }

  async slice(request: Static<typeof SliceRequest>): Promise<Slice> {
    return await this.#signals.observe({ method: 'slice' }, async () => await this.slices.make(request, this));
  }

  /** What a question comes to once the time that it asks for is settled. */
  async asked(request: Omit<Static<typeof AsOfRequest>, 'targets'>): Promise<Asked> {
    const { policy_rev, body } = this.policies.inForce(STORE_POLICY);
    const rule = ruleOf(body, request.rule_id);
    const asOf = request.as_of_utc;
    if (compareUtc(asOf, this.#now()) > 0)
      throw new ProbityError('LBL_AS_OF_IN_FUTURE', 'nobody can say yet what will have been known by then');
    await this.#demandWhole(request.run_id);
    const head = await this.ledger.settle(asOf);
    const seqMax = request.ledger_seq ?? head;
    if (seqMax > head)
      throw new ProbityError('LBL_CURSOR_UNKNOWN', `the ledger ends with ${head}, and ${seqMax} was asked for`);
    const effectiveAt = request.effective_at_utc ?? asOf;
    const basis = { as_of_utc: asOf, effective_at_utc: effectiveAt, ledger_seq: seqMax, rule_id: rule.rule_id };
    return { question: { asOf, effectiveAt, rule }, cut: { asOf, seqMax }, basis: { ...basis, policy_rev } };
  }

  answer(labels: readonly Label[], question: Question): Answer {
    const answer = resolve(labels, question);
    this.#answers.add(1, { state: answer.state, rule: question.rule.rule_id });
    return answer;
  }

  /** While the labels of its world are still entering, an answer about a run could be another one a moment later. */
  async #demandWhole(runId: string): Promise<void> {
    const feed = await this.store.taken(runId);
    if (feed === null)
      throw new ProbityError('LBL_RUN_UNKNOWN', 'no READY of this run was read from the control topic yet');
    if (feed.state === 'REFUSED')
      throw new ProbityError('LBL_FEED_REFUSED', `the labels of its world were refused: ${feed.detail ?? ''}`);
    if (feed.state !== 'DONE' && feed.state !== 'NONE')
      throw new ProbityError(
        'LBL_FEED_INCOMPLETE',
        `${feed.next_row} of ${feed.rows_total} sealed labels have entered`,
      );
  }

  #late({ label }: Entry, appended: Appended | undefined): void {
    if (appended?.outcome !== 'ACCEPTED') return;
    const micros = toEpochMicros(appended.observed) - toEpochMicros(label.effective_at_utc);
    this.#lateness.record(micros / 1_000_000, { namespace: label.source.namespace, label_type: label.label_type });
  }

  #now(): UtcMicros {
    return fromEpochMs(this.clock.nowMs());
  }

  /** A line and counts per batch: never what was said of whom (law O2). */
  #tell(drafts: readonly (Draft | Refusal)[], results: readonly AssertResult[], actor: Actor): void {
    const counts = new Map<string, number>();
    results.forEach(({ outcome, code = 'none' }, index) => {
      const draft = drafts[index];
      const known = draft === undefined || isRefusal(draft) ? undefined : draft.assertion;
      this.#results.add(1, {
        outcome,
        code,
        namespace: known?.namespace ?? 'none',
        label_type: known?.label_type ?? 'none',
      });
      counts.set(`${outcome}:${code}`, (counts.get(`${outcome}:${code}`) ?? 0) + 1);
    });
    const { actor_id } = actor;
    this.telemetry.logger.info('labels_appended', { actor: actor_id, outcomes: Object.fromEntries(counts) });
  }
}

function ruleOf({ resolution }: StorePolicy, ruleId = resolution.default_rule): ResolutionRule {
  const rule = resolution.rules.find(({ rule_id }) => rule_id === ruleId);
  if (rule === undefined)
    throw new ProbityError('LBL_RULE_UNKNOWN', `the policy labels.store has no rule ${JSON.stringify(ruleId)}`);
  return rule;
}

function resultOf(entry: Entry | undefined, result: Appended | Refusal | undefined): AssertResult {
  if (result === undefined) throw new TypeError('one result per label');
  if ('code' in result) {
    const { code, detail } = result;
    return {
      outcome: 'REJECTED',
      ...('label_id' in result ? { label_id: result.label_id } : {}),
      ...{ code, detail, retryable: ERRORS[code].retryable },
    };
  }
  const target = entry?.label.target;
  return {
    outcome: result.outcome,
    label_id: result.label_id,
    ledger_seq: result.seq,
    ...(target?.kind === 'EVENT' ? { event_id: target.event_id } : {}),
    observed_at_utc: result.observed,
  };
}
