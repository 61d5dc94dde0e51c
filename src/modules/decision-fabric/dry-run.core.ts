import { type Decision, type Outcome, OUTCOMES } from '../../rails/events/decision.schema.js';
import type { DecisionPlan, DecisionTrigger, FeaturesUse, GraphUse } from '../../rails/decision/inputs.js';
import type { DryRunChange, DryRunReport } from './dry-run.schema.js';

/** As what a payment is known. */
export type KnownAs = 'FRAUD' | 'OTHER' | 'UNKNOWN';

/** A decision beside what the candidate made of the same event. */
export interface DryRunRow {
  readonly runId: string;
  readonly trigger: Pick<DecisionTrigger, 'payload'>;
  readonly before: Decision;
  readonly after: Decision;
  /** Absent: nobody asked for labels. */
  readonly knownAs?: KnownAs;
}

/** What a candidate would have had to lean on; or why that is not known. */
export type CandidateInputs =
  | { readonly ok: true; readonly features: FeaturesUse; readonly graph: GraphUse }
  | { readonly ok: false; readonly reason: string };

export interface RecordedInputs {
  readonly features: FeaturesUse;
  readonly graph: GraphUse;
  /** Of other groups, at the same basis. */
  featuresOf(groups: readonly string[]): FeaturesUse;
}

/**
 * What the candidate leans on: what it does not ask for or may not have is stated as the fabric states it, and what it asks for is there only where
 * the decision had it. A context that did not answer then might have answered another question: nobody knows, so nobody guesses.
 */
export function candidateInputs(plan: DecisionPlan, recorded: RecordedInputs): CandidateInputs {
  const features = wantedFeatures(plan, recorded);
  if (typeof features === 'string') return { ok: false, reason: features };
  const graph = wantedGraph(plan, recorded.graph);
  if (typeof graph === 'string') return { ok: false, reason: graph };
  return { ok: true, features, graph };
}

const NEVER_ASKED: ReadonlySet<string> = new Set(['NOT_REQUESTED_BY_PLAN', 'FORBIDDEN_BY_MASK']);

function wantedFeatures(
  { featureGroups, forbiddenGroups }: DecisionPlan,
  recorded: RecordedInputs,
): FeaturesUse | string {
  if (featureGroups.length === 0)
    return { status: forbiddenGroups.length > 0 ? 'FORBIDDEN_BY_MASK' : 'NOT_REQUESTED_BY_PLAN' };
  const { features } = recorded;
  if (features.status !== 'USED')
    return NEVER_ASKED.has(features.status) ? 'FEATURES_NOT_ASKED' : `FEATURES_${features.status}`;
  const had = features.snapshot.groups.map(({ name }) => name);
  const same = had.length === featureGroups.length && featureGroups.every((group) => had.includes(group));
  return same ? features : recorded.featuresOf(featureGroups);
}

function wantedGraph({ graph: wanted }: DecisionPlan, graph: GraphUse): GraphUse | string {
  if (wanted !== 'ASK') return { status: wanted };
  if (graph.status === 'USED') return graph;
  return NEVER_ASKED.has(graph.status) ? 'GRAPH_NOT_ASKED' : `GRAPH_${graph.status}`;
}

/** The score that the rules read: of the second stage where it was asked. */
export function speakingScore({ model }: Pick<Decision, 'model'>): number | null {
  return model.stage2?.score_e6 ?? model.score_e6 ?? null;
}

/** What a change looks like to people. */
export function changeOf({ runId, trigger, before, after, knownAs }: DryRunRow): DryRunChange {
  const { amount_minor, currency } = moneyOf(trigger);
  return {
    decision_id: before.decision_id as unknown as DryRunChange['decision_id'],
    event_id: before.source_event.event_id,
    run_id: runId as DryRunChange['run_id'],
    ts_utc: before.source_event.ts_utc,
    entity_key: before.entity_key,
    amount_minor,
    currency,
    before: before.outcome,
    after: after.outcome,
    score_before_e6: speakingScore(before),
    score_after_e6: speakingScore(after),
    rules_before: before.rules.hits.map(({ rule_id }) => rule_id),
    rules_after: after.rules.hits.map(({ rule_id }) => rule_id),
    reasons_before: [...before.reason_codes],
    reasons_after: [...after.reason_codes],
    ...(knownAs === undefined ? {} : { known_as: knownAs }),
  };
}

function moneyOf({ payload }: DryRunRow['trigger']): {
  readonly amount_minor: number | null;
  readonly currency: string | null;
} {
  const { amount_minor, currency } = payload;
  if (typeof amount_minor !== 'number' || typeof currency !== 'string') return { amount_minor: null, currency: null };
  return { amount_minor, currency };
}

class Sum {
  #payments = 0;
  #amount = 0n;

  add(amount: bigint): void {
    this.#payments += 1;
    this.#amount += amount;
  }

  get said(): { readonly payments: number; readonly amount_minor: string } {
    return { payments: this.#payments, amount_minor: this.#amount.toString() };
  }
}

const MOVES = {
  APPROVE: 'newly_approved',
  STEP_UP: 'newly_stepped_up',
  QUEUE: 'newly_queued',
  DECLINE: 'newly_declined',
} as const satisfies Record<Outcome, string>;
type MoneyName = 'decided' | (typeof MOVES)[Outcome];

/** How one side stands against what became known: counts, and money by currency. */
class Judged {
  readonly #counts = { caught: 0, missed: 0, false_positives: 0 };
  readonly #money = {
    caught: new Map<string, bigint>(),
    missed: new Map<string, bigint>(),
    false_positives: new Map<string, bigint>(),
  };

  add(outcome: Outcome, knownAs: KnownAs, currency: string | null, amount: bigint): void {
    const stopped = outcome !== 'APPROVE';
    if (knownAs === 'UNKNOWN' || (knownAs === 'OTHER' && !stopped)) return;
    const name = knownAs === 'OTHER' ? 'false_positives' : stopped ? 'caught' : 'missed';
    this.#counts[name] += 1;
    const money = this.#money[name];
    if (currency !== null) money.set(currency, (money.get(currency) ?? 0n) + amount);
  }

  get said(): NonNullable<DryRunReport['labels']>['before'] {
    const { caught, missed, false_positives } = this.#money;
    return {
      ...this.#counts,
      caught_amounts: texts(caught),
      missed_amounts: texts(missed),
      false_positive_amounts: texts(false_positives),
    };
  }
}

export interface LabelsBasis {
  readonly label_type: string;
  readonly as_of_utc: NonNullable<DryRunReport['labels']>['as_of_utc'];
  readonly ledger_seq: Readonly<Record<string, number>>;
}

/** Counts rows as they come and keeps none of them: its size does not depend on how many there are. Sums are exact, and their order plays no part (law R11). */
export class DryRunTally {
  readonly #matrix = verdictTable(() => verdictTable(() => 0));
  readonly #money = new Map<string, Record<MoneyName, Sum>>();
  readonly #rules = new Map<string, { before: number; after: number }>();
  readonly #judged = { before: new Judged(), after: new Judged() };
  readonly #known: Record<KnownAs, number> = { FRAUD: 0, OTHER: 0, UNKNOWN: 0 };
  #otherReasons = 0;

  add(rows: readonly DryRunRow[]): void {
    for (const row of rows) this.#add(row);
  }

  /** @param compared decisions that the control made again; all of them equal, or nobody asks for a report */
  report(compared: number, labels: LabelsBasis | null): DryRunReport {
    const [before, after] = [verdictTable(() => 0), verdictTable(() => 0)];
    let [decided, stayed] = [0, 0];
    for (const from of OUTCOMES)
      for (const to of OUTCOMES) {
        const count = this.#matrix[from][to];
        before[from] += count;
        after[to] += count;
        decided += count;
        if (from === to) stayed += count;
      }
    const { FRAUD: frauds, OTHER: others, UNKNOWN: unknown } = this.#known;
    return {
      control: { compared, equal: compared },
      decided,
      before,
      after,
      matrix: this.#matrix,
      changed: decided - stayed,
      other_reasons: this.#otherReasons,
      money: Object.fromEntries(
        inNameOrder(this.#money).map(([currency, sums]) => [
          currency,
          Object.fromEntries(Object.entries(sums).map(([name, sum]) => [name, sum.said])) as never,
        ]),
      ),
      rules: Object.fromEntries(inNameOrder(this.#rules)),
      ...(labels === null
        ? {}
        : {
            labels: {
              ...labels,
              ledger_seq: { ...labels.ledger_seq },
              frauds,
              others,
              unknown,
              before: this.#judged.before.said,
              after: this.#judged.after.said,
            },
          }),
    };
  }

  #add({ trigger, before, after, knownAs }: DryRunRow): void {
    this.#matrix[before.outcome][after.outcome] += 1;
    if (before.outcome === after.outcome && before.reason_codes.join() !== after.reason_codes.join())
      this.#otherReasons += 1;
    for (const [side, { rules }] of [['before', before] as const, ['after', after] as const])
      for (const { rule_id } of rules.hits) this.#rule(rule_id)[side] += 1;
    const { amount_minor, currency } = moneyOf(trigger);
    const amount = BigInt(amount_minor ?? 0);
    if (currency !== null) {
      const sums = this.#sums(currency);
      sums.decided.add(amount);
      if (before.outcome !== after.outcome) sums[MOVES[after.outcome]].add(amount);
    }
    if (knownAs === undefined) return;
    this.#known[knownAs] += 1;
    this.#judged.before.add(before.outcome, knownAs, currency, amount);
    this.#judged.after.add(after.outcome, knownAs, currency, amount);
  }

  #rule(id: string): { before: number; after: number } {
    const known = this.#rules.get(id);
    if (known !== undefined) return known;
    const rule = { before: 0, after: 0 };
    this.#rules.set(id, rule);
    return rule;
  }

  #sums(currency: string): Record<MoneyName, Sum> {
    const known = this.#money.get(currency);
    if (known !== undefined) return known;
    const names: readonly MoneyName[] = ['decided', ...OUTCOMES.map((outcome) => MOVES[outcome])];
    const sums = Object.fromEntries(names.map((name) => [name, new Sum()])) as Record<MoneyName, Sum>;
    this.#money.set(currency, sums);
    return sums;
  }
}

function verdictTable<Value>(of: () => Value): Record<Outcome, Value> {
  return Object.fromEntries(OUTCOMES.map((outcome) => [outcome, of()])) as Record<Outcome, Value>;
}

function texts(money: ReadonlyMap<string, bigint>): Record<string, string> {
  return Object.fromEntries(inNameOrder(money).map(([currency, amount]) => [currency, amount.toString()]));
}

function inNameOrder<Value>(map: ReadonlyMap<string, Value>): readonly (readonly [string, Value])[] {
  return [...map].sort(([a], [b]) => (a < b ? -1 : 1));
}

/** Words that labels say of fraud, and of the contrary; a suspicion, or a case that is still open, is neither. */
const WORDS: ReadonlyMap<string, KnownAs> = new Map([
  ['FRAUD_CONFIRMED', 'FRAUD'],
  ['CHARGEBACK', 'FRAUD'],
  ['ATO_CONFIRMED', 'FRAUD'],
  ['LEGIT_CONFIRMED', 'OTHER'],
  ['NO_CHARGEBACK', 'OTHER'],
  ['ATO_NOT_CONFIRMED', 'OTHER'],
]);

/** @param value what the label says; null: there is none, or several contradict each other (`contradicted`) */
export function knownAs(value: string | null, contradicted: boolean, isMature: boolean): KnownAs {
  if (value !== null) return WORDS.get(value) ?? 'UNKNOWN';
  return isMature && !contradicted ? 'OTHER' : 'UNKNOWN';
}
