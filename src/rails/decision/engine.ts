import { inOrder } from '../canonical-json.js';
import { maskedBy, MOST_RESTRICTIVE } from '../capability-mask.js';
import type { EventType } from '../envelope.schema.js';
import {
  type BundleRef,
  type Decision,
  type Outcome,
  OUTCOMES,
  type PlannedAction,
} from '../events/decision.schema.js';
import type { Bundle } from '../model/bundle.schema.js';
import { type Score, scoreOf } from '../model/score.js';
import { type DecisionArtifacts, EVENT_FIELDS, incompatibility, readableUnder } from './artifacts.js';
import { EventFacts, Expressions, type Facts, FeatureFacts, GraphFacts } from './expression.js';
import { decisionIdRecipe, idempotencyKeyRecipe } from './ids.js';
import type { DecisionPlan, DecisionTrigger, FeaturesUse, GraphUse, PostureUse } from './inputs.js';
import { contributionsOf, featuresOf, graphOf, hitOf, postureOf } from './records.js';
import { type CompiledRule, compileRules, evaluateRules, type Findings, readsEventAlone } from './rules.js';

/** What a model said, or why it was not asked. */
type Opinion =
  | { readonly score: Score; readonly skipped: null; readonly contributions: ReturnType<typeof contributionsOf> }
  | { readonly score: null; readonly skipped: string; readonly contributions: null };

interface SecondStage extends Candidate {
  /** Scores of the first stage, both included. */
  readonly from: number;
  readonly to: number;
}

interface Candidate {
  readonly bundle: Bundle;
  readonly ref: BundleRef;
  readonly incompatible: string | null;
}

/** Of a second stage that was not asked for a reason that somebody should hear of; that it was not needed is none. */
const SAID_OF_STAGE2 = /^(CAPABILITY_BLOCK|INCOMPATIBLE|REQUIRED)/;
const REASONS_MAX = 64;
/** 64-bit whole numbers are what expressions count in. */
const INT_MAX = 2n ** 63n - 1n;

/**
 * Makes verdicts. Pure and total: the same artifacts, trigger and contexts give the same decision, byte for byte, and no data make it throw.
 *
 *     mask and missing prerequisites  >  block  >  allow  >  score and raise  >  default
 *
 * What is missing sets a floor (the safe outcome) under which nothing else goes: an allow rule has no say then. Under a posture
 * that forbids heuristics only rules over the event's own fields speak, and they may only raise.
 */
export class DecisionEngine {
  readonly artifacts: DecisionArtifacts;
  readonly #rules: readonly CompiledRule[];
  readonly #ofEventAlone: readonly CompiledRule[];
  readonly #active: Candidate | null;
  readonly #stage2: SecondStage | null;
  readonly #shadow: readonly Candidate[];
  readonly #types: ReadonlySet<string>;
  readonly #groupsWanted: readonly string[];
  readonly #wantsGraph: boolean;
  readonly #reads: {
    readonly event: readonly string[];
    readonly features: ReadonlySet<string>;
    readonly graph: readonly string[];
  };

  constructor(artifacts: DecisionArtifacts) {
    this.artifacts = artifacts;
    const { decision, rules, bundles, features } = artifacts;
    const compiled = compileRules(rules.body, new Expressions(readableUnder(features.body)));
    this.#rules = compiled;
    this.#ofEventAlone = compiled.filter(readsEventAlone);
    this.#types = new Set(decision.body.trigger_event_types);
    const candidate = ({ bundle, digest }: { bundle: Bundle; digest: BundleRef['digest'] }): Candidate => ({
      bundle,
      ref: { bundle_id: bundle.bundle_id, bundle_version: bundle.bundle_version, digest },
      incompatible: incompatibility(bundle, features.body),
    });
    this.#active = bundles.body.active === undefined ? null : candidate(bundles.body.active);
    const { stage2 } = bundles.body;
    this.#stage2 =
      stage2 === undefined ? null : { ...candidate(stage2), from: stage2.from_score_e6, to: stage2.to_score_e6 };
    this.#shadow = bundles.body.shadow.map(candidate);

    const models = [this.#active, this.#stage2, ...this.#shadow].filter((one) => one !== null);
    const inputs = models.flatMap(({ bundle }) => bundle.model.inputs as readonly { source: string; name: string }[]);
    const wanted = (variable: string): Set<string> =>
      new Set([
        ...compiled.flatMap(({ expression }) =>
          expression.reads.flatMap((read) => (read.variable === variable ? [read.name] : [])),
        ),
        ...inputs.flatMap(({ source, name }) => (source === variable ? [name] : [])),
      ]);
    const names = wanted('features');
    const required = new Set(decision.body.required_feature_groups);
    this.#groupsWanted = features.body.groups
      .filter((group) => required.has(group.name) || group.features.some(({ name }) => names.has(name)))
      .map(({ name }) => name);
    this.#reads = { event: [...wanted('event')].sort(), features: names, graph: [...wanted('graph')].sort() };
    this.#wantsGraph = this.#reads.graph.length > 0;
  }

  isTrigger(eventType: EventType): boolean {
    return this.#types.has(eventType);
  }

  plan(posture: PostureUse): DecisionPlan {
    const mask = posture.status === 'USED' ? posture.posture.mask : MOST_RESTRICTIVE;
    const allowed = (group: string): boolean => maskedBy(mask, { use: 'FEATURE_GROUP', group }) === null;
    const graph = !this.#wantsGraph ? 'NOT_REQUESTED_BY_PLAN' : mask.allow_ieg ? 'ASK' : 'FORBIDDEN_BY_MASK';
    return {
      posture,
      mask,
      featureGroups: this.#groupsWanted.filter(allowed),
      forbiddenGroups: this.#groupsWanted.filter((group) => !allowed(group)),
      graph,
    };
  }

  decide(trigger: DecisionTrigger, plan: DecisionPlan, features: FeaturesUse, graph: GraphUse): Decision {
    const { decision: policy, rules, features: definitions } = this.artifacts;
    const facts = this.#factsOf(trigger, features, graph);
    const missing = this.#missing(plan, features, graph);
    const closed = !plan.mask.allow_fallback_heuristics;
    const model = this.#primaryOf(facts, plan, features);
    const stage2 = this.#stage2Of(model, facts, plan, features);
    // The last who was asked has the word.
    const speaking = stage2 !== null && stage2.score !== null ? stage2 : model;
    const scored: Facts = speaking.score === null ? facts : { ...facts, score_e6: BigInt(speaking.score.scoreE6) };
    const found = closed ? this.#raising(evaluateRules(this.#ofEventAlone, facts)) : evaluateRules(this.#rules, scored);
    const verdict = this.#verdict(found, missing, closed, plan);
    const actions = this.#actionsOf(trigger, verdict.outcome, plan);
    const reasons = new Set([
      ...verdict.reasons,
      ...(actions.clipped ? ['CLIPPED_BY_CONSTRAINTS', 'CAPABILITY_BLOCK:action_posture'] : []),
      ...(stage2 !== null && stage2.skipped !== null && SAID_OF_STAGE2.test(stage2.skipped) ? [stage2.skipped] : []),
      ...(verdict.speaksOfScore
        ? (speaking.contributions ?? []).flatMap(({ reason_code: code }) => (code === undefined ? [] : [code]))
        : []),
    ]);
    // In canonical order, here and in `records.ts`, which spares the writer the sorting.
    return {
      actions: actions.planned,
      bundle: this.#bundleOf(),
      decision_id: decisionIdRecipe.derive({ event_id: trigger.eventId, pins: trigger.pins, scope: policy.body.scope }),
      entity_key: trigger.entityKey,
      features: featuresOf(plan, features, definitions.policy_rev),
      graph: graphOf(graph),
      model: {
        ...scoredOf(model),
        ...(stage2 === null || this.#stage2 === null
          ? {}
          : { stage2: inOrder({ ...this.#stage2.ref, ...scoredOf(stage2) }) }),
      },
      outcome: verdict.outcome,
      policy_rev: policy.policy_rev,
      posture: postureOf(plan),
      reason_codes: [...reasons].slice(0, REASONS_MAX),
      rules: {
        faults: found.faults.slice(0, 64).map(({ rule, fault }) => ({ fault, rule_id: rule.id })),
        hits: found.hits.slice(0, 64).map(hitOf),
        policy_rev: rules.policy_rev,
        shadow_hits: found.shadowHits.slice(0, 64).map(hitOf),
      },
      scope: policy.body.scope,
      shadow_bundles: this.#shadow.map((candidate) => {
        const { score, skipped } = this.#modelOf(candidate, 'allow_model_primary', facts, plan, features);
        return {
          ...candidate.ref,
          ...(score === null ? {} : { score_e6: score.scoreE6 }),
          ...(skipped === null ? {} : { skipped }),
        };
      }),
      source_event: {
        eb_ref: trigger.ebRef,
        event_id: trigger.eventId,
        event_type: trigger.eventType,
        payload_hash: trigger.payloadHash,
        ts_utc: trigger.tsUtc,
      },
    };
  }

  /** Under a closed posture a rule may raise and nothing else: what would lower is not even recorded as having spoken. */
  #raising({ hits, shadowHits, faults }: Findings): Findings {
    const raises = (rule: CompiledRule): boolean => rule.kind === 'block' || rule.kind === 'raise';
    return { hits: hits.filter(raises), shadowHits: shadowHits.filter(raises), faults };
  }

  /** Why something that the decision needs cannot be leant on; empty when all is there. */
  #missing(plan: DecisionPlan, features: FeaturesUse, graph: GraphUse): readonly string[] {
    const reasons: string[] = [];
    if (plan.posture.status === 'UNAVAILABLE') reasons.push('DL_UNAVAILABLE_FAIL_CLOSED');
    if (plan.posture.status === 'STALE') reasons.push('POSTURE_STALE');
    const required = this.artifacts.decision.body.required_feature_groups;
    if (required.some((group) => plan.forbiddenGroups.includes(group)))
      reasons.push('CAPABILITY_BLOCK:allowed_feature_groups');
    else if (features.status !== 'USED' && features.status !== 'NOT_REQUESTED_BY_PLAN')
      reasons.push(
        features.status === 'FORBIDDEN_BY_MASK'
          ? 'CAPABILITY_BLOCK:allowed_feature_groups'
          : `FEATURES_${features.status}`,
      );
    else if (features.status === 'USED' && required.some((group) => !isServed(features, group)))
      reasons.push('REQUIRED_FEATURES_MISSING');
    if (graph.status === 'FORBIDDEN_BY_MASK') reasons.push('CAPABILITY_BLOCK:allow_ieg');
    else if (graph.status !== 'USED' && graph.status !== 'NOT_REQUESTED_BY_PLAN') reasons.push(`GRAPH_${graph.status}`);
    if (this.#active !== null && !plan.mask.allow_model_primary) reasons.push('CAPABILITY_BLOCK:allow_model_primary');
    const incompatible = this.#active?.incompatible ?? null;
    if (incompatible !== null) reasons.push(incompatible);
    if (!plan.mask.allow_fallback_heuristics) reasons.push('CAPABILITY_BLOCK:allow_fallback_heuristics');
    return reasons;
  }

  #verdict(
    found: Findings,
    missing: readonly string[],
    closed: boolean,
    plan: DecisionPlan,
  ): { readonly outcome: Outcome; readonly reasons: readonly string[]; readonly speaksOfScore: boolean } {
    const { safe_outcome, default_outcome } = this.artifacts.decision.body;
    const of = (...kinds: readonly CompiledRule['kind'][]): readonly CompiledRule[] =>
      found.hits.filter(({ kind }) => kinds.includes(kind));
    const reasons = (rules: readonly CompiledRule[]): readonly string[] => rules.map(({ reasonCode }) => reasonCode);
    const floor: readonly Outcome[] = missing.length > 0 || closed ? [safe_outcome] : [];
    const block = of('block');
    const allow = missing.length === 0 ? of('allow') : [];
    const speaking = block.length > 0 ? block : allow.length > 0 ? allow : of('score', 'raise');
    const asked = speaking.flatMap(({ outcome }) => (outcome === null ? [] : [outcome]));
    const base: Outcome = allow.length > 0 && block.length === 0 ? 'APPROVE' : default_outcome;
    const unclamped = highest([base, ...asked, ...floor]);
    // No verdict without any friction while nothing beyond a step-up may follow from a wrong one; who raised it is said.
    const clamped = plan.mask.action_posture === 'STEP_UP_ONLY' && unclamped === 'APPROVE';
    const outcome = clamped ? 'STEP_UP' : unclamped;
    return {
      outcome,
      reasons: [...missing, ...reasons(speaking), ...(clamped ? ['CAPABILITY_BLOCK:action_posture'] : [])],
      speaksOfScore: outcome !== 'APPROVE' && speaking.some(({ kind }) => kind === 'score'),
    };
  }

  #actionsOf(
    trigger: DecisionTrigger,
    outcome: Outcome,
    { mask }: DecisionPlan,
  ): { readonly planned: readonly PlannedAction[]; readonly clipped: boolean } {
    const { actions, step_up_only_domains } = this.artifacts.decision.body;
    const wanted = actions[outcome];
    const within = (domain: string): boolean =>
      mask.action_posture === 'NORMAL' || step_up_only_domains.includes(domain);
    const planned = wanted
      .filter(({ action_domain }) => within(action_domain))
      .map(({ action_domain, action_type }): PlannedAction => {
        const action_key = 'primary';
        return {
          action_domain,
          action_key,
          action_type,
          idempotency_key: idempotencyKeyRecipe.derive({
            action_domain,
            action_key,
            event_id: trigger.eventId,
            pins: trigger.pins,
          }),
          target: { id: targetOf(trigger), type: trigger.eventType.replaceAll('.', '_') },
        };
      })
      // One order whatever the policy's is, so that the same wishes make the same bytes.
      .sort((a, b) =>
        a.action_domain < b.action_domain
          ? -1
          : a.action_domain > b.action_domain
            ? 1
            : a.action_type < b.action_type
              ? -1
              : 1,
      );
    return { planned, clipped: planned.length < wanted.length };
  }

  #bundleOf(): Decision['bundle'] {
    if (this.#active === null) return { reason: 'NO_ACTIVE', status: 'ABSENT' };
    const { bundle_id, bundle_version, digest } = this.#active.ref;
    return { bundle_id, bundle_version, digest, policy_rev: this.artifacts.bundles.policy_rev, status: 'ACTIVE' };
  }

  #primaryOf(facts: Facts, plan: DecisionPlan, features: FeaturesUse): Opinion {
    if (this.#active === null) return skip('NO_ACTIVE');
    return this.#modelOf(this.#active, 'allow_model_primary', facts, plan, features);
  }

  /** Where the first stage is undecided. Forbidden or unusable it leaves the word to the first one, and the decision says so. */
  #stage2Of(primary: Opinion, facts: Facts, plan: DecisionPlan, features: FeaturesUse): Opinion | null {
    const stage2 = this.#stage2;
    if (stage2 === null) return null;
    if (primary.score === null) return skip('NO_PRIMARY_SCORE');
    const { scoreE6 } = primary.score;
    if (scoreE6 < stage2.from || scoreE6 > stage2.to) return skip('OUTSIDE_BAND');
    return this.#modelOf(stage2, 'allow_model_stage2', facts, plan, features);
  }

  #modelOf(
    candidate: Candidate,
    allowed: 'allow_model_primary' | 'allow_model_stage2',
    facts: Facts,
    plan: DecisionPlan,
    features: FeaturesUse,
  ): Opinion {
    if (!plan.mask[allowed]) return skip(`CAPABILITY_BLOCK:${allowed}`);
    if (candidate.incompatible !== null) return skip(candidate.incompatible);
    const groups = candidate.bundle.compatibility.feature_groups;
    if (groups.some(({ name }) => plan.forbiddenGroups.includes(name)))
      return skip('CAPABILITY_BLOCK:allowed_feature_groups');
    if (groups.length > 0 && (features.status !== 'USED' || groups.some(({ name }) => !isServed(features, name))))
      return skip('REQUIRED_FEATURES_MISSING');
    const values = candidate.bundle.model.inputs.map(({ source, name }) => {
      const value = (facts[source] as Readonly<Record<string, unknown>>)[name];
      return typeof value === 'bigint' ? Number(value) : null;
    });
    const score = scoreOf(candidate.bundle, values);
    return { score, skipped: null, contributions: contributionsOf(candidate.bundle, values, score) };
  }

  /** Only what somebody reads, as expressions take it: whole numbers as 64-bit integers, what is missing left out. */
  #factsOf(trigger: DecisionTrigger, features: FeaturesUse, graph: GraphUse): Facts {
    const event = new EventFacts() as Record<string, unknown>;
    for (const name of this.#reads.event) {
      const value = trigger.payload[name];
      if (EVENT_FIELDS[name] === 'int') {
        if (typeof value === 'number' && Number.isSafeInteger(value)) event[name] = BigInt(value);
      } else if (typeof value === 'string') event[name] = value;
    }
    const served = new FeatureFacts() as Record<string, unknown>;
    if (features.status === 'USED') {
      for (const group of features.snapshot.groups) {
        for (const [name, text] of Object.entries(group.values)) {
          if (text === null || !this.#reads.features.has(name)) continue;
          const value = BigInt(text);
          if (value <= INT_MAX && value >= -INT_MAX) served[name] = value;
        }
      }
    }
    const links = new GraphFacts() as Record<string, unknown>;
    if (graph.status === 'USED') {
      const values = graph.context.values as Readonly<Record<string, number | null>>;
      for (const name of this.#reads.graph) {
        const value = values[name] ?? null;
        if (value !== null) links[name] = BigInt(value);
      }
    }
    return { event, features: served, graph: links };
  }
}

function skip(skipped: string): Opinion {
  return { score: null, skipped, contributions: null };
}

function scoredOf({ score, skipped, contributions }: Opinion) {
  return {
    ...(contributions === null ? {} : { contributions }),
    ...(score === null ? {} : { score_e6: score.scoreE6 }),
    ...(skipped === null ? {} : { skipped }),
  };
}

function highest(outcomes: readonly Outcome[]): Outcome {
  return outcomes.reduce((a, b) => (OUTCOMES.indexOf(b) > OUTCOMES.indexOf(a) ? b : a));
}

const PRINTABLE = /^[!-~]([ -~]*[!-~])?$/;

/** What a payment system knows the payment by; of other events their own id. */
function targetOf({ payload, eventId }: DecisionTrigger): string {
  const { transaction_id: id } = payload;
  return typeof id === 'string' && id.length <= 128 && PRINTABLE.test(id) ? id : eventId;
}

function isServed(features: Extract<FeaturesUse, { status: 'USED' }>, name: string): boolean {
  const group = features.snapshot.groups.find((each) => each.name === name);
  // A key that the event does not have is an answer; what came too late to be counted is none.
  return group !== undefined && group.status !== 'TOO_LATE';
}
