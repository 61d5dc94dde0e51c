import { maskedBy, MOST_RESTRICTIVE } from '../capability-mask.js';
import type { EventType } from '../envelope.schema.js';
import { type Decision, type Outcome, OUTCOMES, type PlannedAction } from '../events/decision.schema.js';
import { type DecisionArtifacts, EVENT_FIELDS, readableUnder } from './artifacts.js';
import { EventFacts, Expressions, type Facts, FeatureFacts, GraphFacts } from './expression.js';
import { decisionIdRecipe, idempotencyKeyRecipe } from './ids.js';
import type { DecisionPlan, DecisionTrigger, FeaturesUse, GraphUse, PostureUse } from './inputs.js';
import {
  citedOf,
  type ExternalBundle,
  type ExternalScores,
  isServed,
  missingSecond,
  Models,
  type Opinion,
} from './models.js';
import { featuresOf, graphOf, hitOf, postureOf } from './records.js';
import { type CompiledRule, compileRules, evaluateRules, type Findings, readsEventAlone } from './rules.js';

/** Of an engine whose bundles are all of the platform's own formats: it asks nobody. */
const NO_EXTERNAL: ExternalScores = { scoreE6: () => 'FAILED' };
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
  readonly #models: Models;
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
    this.#models = new Models(bundles, features.body);
    const wanted = (variable: string): Set<string> =>
      new Set([
        ...compiled.flatMap(({ expression }) =>
          expression.reads.flatMap((read) => (read.variable === variable ? [read.name] : [])),
        ),
        ...this.#models.inputs.flatMap(({ source, name }) => (source === variable ? [name] : [])),
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

  /** Bundles that are scored outside: whoever decides with them gives their scores. */
  get external(): readonly ExternalBundle[] {
    return this.#models.external;
  }

  decide(
    trigger: DecisionTrigger,
    plan: DecisionPlan,
    features: FeaturesUse,
    graph: GraphUse,
    external = NO_EXTERNAL,
  ): Decision {
    const { decision: policy, rules, features: definitions } = this.artifacts;
    const facts = this.#factsOf(trigger, features, graph);
    const asked = { facts, plan, features, external };
    const closed = !plan.mask.allow_fallback_heuristics;
    const model = this.#models.primary(asked);
    const stage2 = this.#models.second(model, asked);
    const missing = this.#missing(plan, features, graph, model);
    // The last who was asked has the word.
    const speaking = stage2 !== null && stage2.scoreE6 !== null ? stage2 : model;
    const scored: Facts = speaking.scoreE6 === null ? facts : { ...facts, score_e6: BigInt(speaking.scoreE6) };
    const found = closed ? this.#raising(evaluateRules(this.#ofEventAlone, facts)) : evaluateRules(this.#rules, scored);
    const verdict = this.#verdict(found, missing, closed, plan);
    const actions = this.#actionsOf(trigger, verdict.outcome, plan);
    const reasons = new Set([
      ...verdict.reasons,
      ...(actions.clipped ? ['CLIPPED_BY_CONSTRAINTS', 'CAPABILITY_BLOCK:action_posture'] : []),
      ...missingSecond(stage2),
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
      model: this.#models.recorded(model, stage2),
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
      shadow_bundles: this.#models.shadows(asked),
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
  #missing(plan: DecisionPlan, features: FeaturesUse, graph: GraphUse, { skipped }: Opinion): readonly string[] {
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
    if (this.#models.active !== null && !plan.mask.allow_model_primary)
      reasons.push('CAPABILITY_BLOCK:allow_model_primary');
    if (this.#models.active === null && this.#models.absent !== 'NO_ACTIVE') reasons.push(this.#models.absent);
    const incompatible = this.#models.active?.incompatible ?? null;
    if (incompatible !== null) reasons.push(incompatible);
    if (skipped === 'MODEL_FAILED') reasons.push(skipped);
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
    if (this.#models.active === null) return { reason: this.#models.absent, status: 'ABSENT' };
    return { ...citedOf(this.#models.active), status: 'ACTIVE' };
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

function highest(outcomes: readonly Outcome[]): Outcome {
  return outcomes.reduce((a, b) => (OUTCOMES.indexOf(b) > OUTCOMES.indexOf(a) ? b : a));
}

const PRINTABLE = /^[!-~]([ -~]*[!-~])?$/;

/** What a payment system knows the payment by; of other events their own id. */
function targetOf({ payload, eventId }: DecisionTrigger): string {
  const { transaction_id: id } = payload;
  return typeof id === 'string' && id.length <= 128 && PRINTABLE.test(id) ? id : eventId;
}
