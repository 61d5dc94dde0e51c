import type { BundleSource } from '../../src/modules/decision-fabric/bundle-source.js';
import { EngineInForce } from '../../src/modules/decision-fabric/decision-fabric.engine.js';
import { advance, type Basis, basisRecord, emptyBasis } from '../../src/rails/basis.js';
import { canonicalJson, type JsonValue } from '../../src/rails/canonical-json.js';
import { MOST_RESTRICTIVE } from '../../src/rails/capability-mask.js';
import { type ResolvedBundles, supposed } from '../../src/rails/decision/artifacts.js';
import { decisionEnvelope } from '../../src/rails/decision/envelopes.js';
import type { DecisionTrigger, FeaturesUse, PostureUse } from '../../src/rails/decision/inputs.js';
import type { DecisionPolicy } from '../../src/rails/decision/policy.schema.js';
import type { Rules } from '../../src/rails/decision/rules.schema.js';
import { asOffset } from '../../src/rails/eb-ref.js';
import { payloadHash } from '../../src/rails/envelope.js';
import type { EventId, EventType } from '../../src/rails/envelope.schema.js';
import type { Decision } from '../../src/rails/events/decision.schema.js';
import type { FeatureDefinitions } from '../../src/rails/features/definition.schema.js';
import { FeatureState } from '../../src/rails/features/feature-state.js';
import { planOf } from '../../src/rails/features/plan.js';
import { snapshotOf } from '../../src/rails/features/snapshot.js';
import { type Bundle, bundleDigest } from '../../src/rails/model/bundle.schema.js';
import { NO_WORLD } from '../../src/rails/pins.js';
import { type SealedPolicy, sealPolicy } from '../../src/rails/policy-rev.js';
import { fromEpochMicros, toEpochMicros } from '../../src/rails/time.js';
import type { Bus, BusRecord, RecordBatch } from '../../src/substrate/bus/bus.port.js';
import { StaticPolicies } from '../../src/substrate/policy/policy.port.js';
import { CONTROL, recordOf, TRAFFIC } from '../contract/feature-plane.kit.js';
import { ACTIVATION, features, NO_GRAPH, NORMAL, pins, postureOf, shipped } from './decision-engine.js';

const START_MICROS = Date.UTC(2026, 10, 21) * 1_000;
const PARTITIONS = 2;

export interface DecidedPayment {
  readonly id: string;
  readonly second: number;
  readonly amount: number;
  readonly card: string;
  readonly currency?: string;
  readonly country?: string;
  /** What the decision could not have: features that did not answer, or a posture that forbids nearly everything. */
  readonly without?: 'features' | 'capabilities';
}

export interface InForceHere {
  readonly rules: Rules;
  readonly policy: DecisionPolicy;
  readonly bundle: Bundle | null;
  /** Why there is no bundle, where there is none. */
  readonly absent?: ResolvedBundles['absent'];
}

/** A bundle in the slot that scores, and none elsewhere, whatever a decision cites. */
class OneBundle {
  readonly answer: ResolvedBundles;

  constructor({ bundle, absent = 'NO_ACTIVE' }: Pick<InForceHere, 'bundle' | 'absent'>) {
    const active = bundle === null ? {} : { active: { digest: bundleDigest(bundle), bundle } };
    this.answer = { ...supposed({ ...active, shadow: [] }, ACTIVATION), absent };
  }

  inForce(): Promise<ResolvedBundles> {
    return Promise.resolve(this.answer);
  }

  cited(): Promise<ResolvedBundles> {
    return Promise.resolve(this.answer);
  }
}

/** Payments and their decisions as they stand on a bus, made by the pure parts alone; the bus is an array. */
export class DecidedLog {
  readonly decisions: Decision[] = [];
  /** Everything that was ever in force. */
  readonly artifacts: SealedPolicy[] = [];
  readonly engine: EngineInForce;
  readonly bundles: BundleSource;
  readonly #bundles: OneBundle;
  readonly #logs = new Map<string, BusRecord[]>();
  readonly #policies = new Map<string, SealedPolicy>();
  readonly #applied: DecisionTrigger[] = [];
  #features = new FeatureState(planOf(features.body));
  #basis: Basis = emptyBasis([TRAFFIC, CONTROL]);

  constructor({ rules, policy, ...bundles }: InForceHere) {
    this.#bundles = new OneBundle(bundles);
    this.bundles = this.#bundles;
    this.activate('df.decision', 1, policy);
    this.activate('df.rules', 1, rules);
    this.activate('ofp.features', 1, features.body);
    this.activate('ieg.graph', 1, shipped<JsonValue>('ieg.graph').body);
    this.engine = new EngineInForce(new StaticPolicies(this.#policies), this.bundles);
    for (const posture of [normal, restricted]) this.#append(CONTROL, 0, postureEnvelope(posture));
  }

  /** From the next payment on. */
  activate(id: string, revision: number, body: unknown): SealedPolicy {
    const policy = sealPolicy(id, revision, body as JsonValue);
    this.artifacts.push(policy);
    this.#policies.set(id, policy);
    if (id === 'ofp.features') {
      this.#features = new FeatureState(planOf(body as FeatureDefinitions));
      this.#features.apply(this.#applied);
    }
    return policy;
  }

  decide(payments: readonly DecidedPayment[]): this {
    for (const payment of payments) this.#decide(payment);
    return this;
  }

  /** As if the record had been written otherwise: the same place, other bytes. */
  falsify(topicPartition: string, at: number, change: (text: string) => string): void {
    const log = this.#logs.get(topicPartition) ?? [];
    const before = log[at];
    if (before === undefined) throw new Error(`no record ${at} in ${topicPartition}`);
    const text = Buffer.from(before.value).toString('utf8');
    const other = change(text);
    if (other === text) throw new Error('nothing was changed');
    log[at] = recordOf(other, at);
  }

  get bus(): Bus {
    const logOf = (topic: string, partition: number): readonly BusRecord[] =>
      this.#logs.get(`${topic} ${partition}`) ?? [];
    const marks = (topic: string) =>
      Promise.resolve(
        Array.from({ length: PARTITIONS }, (_, partition) => ({
          topic,
          partition,
          lowWater: asOffset(0),
          highWater: asOffset(logOf(topic, partition).length),
        })),
      );
    const openReader = ([from]: readonly { topic: string; partition: number; offset: number }[]) => {
      let next = from?.offset ?? 0;
      const poll = (): Promise<readonly RecordBatch[]> => {
        const { topic = '', partition = 0 } = from ?? {};
        const records = logOf(topic, partition).slice(next, next + 50);
        if (records.length === 0) return Promise.resolve([]);
        next += records.length;
        const [nextOffset, highWater] = [asOffset(next), asOffset(logOf(topic, partition).length)];
        return Promise.resolve([{ topic, partition, records, nextOffset, highWater } as never]);
      };
      return Promise.resolve({ poll, close: () => Promise.resolve() });
    };
    return { marks, openReader } as unknown as Bus;
  }

  #decide({ id, second, amount, card, currency = 'EUR', country, without }: DecidedPayment): void {
    const partition = card.length % PARTITIONS;
    const tsUtc = fromEpochMicros(START_MICROS + second * 1e6);
    const payload = {
      transaction_id: id,
      amount_minor: amount,
      currency,
      card_id: card,
      ...(country === undefined ? {} : { country }),
    };
    const envelope = {
      ...pins,
      event_id: id,
      event_type: 'transaction',
      schema_version: 'v1',
      producer: 'wsp',
      ts_utc: tsUtc,
      payload,
    };
    const offset = this.#append(TRAFFIC, partition, canonicalJson(envelope));
    const trigger: DecisionTrigger = {
      pins,
      eventId: id as EventId,
      eventType: 'transaction' as EventType,
      ts: toEpochMicros(tsUtc),
      tsUtc,
      partition,
      offset,
      ebRef: { topic: TRAFFIC, partition, offset },
      payloadHash: payloadHash(envelope),
      entityKey: card,
      payload,
    };
    const engine = this.engine.with(this.#bundles.answer);
    const plan = engine.plan(without === 'capabilities' ? restricted : normal);
    const decision = engine.decide(trigger, plan, this.#used(trigger, plan.featureGroups, without), NO_GRAPH);
    this.decisions.push(decision);
    this.#features.apply([trigger]);
    this.#applied.push(trigger);
    this.#basis = advance(this.#basis, [{ topic: TRAFFIC, partition, nextOffset: asOffset(offset + 1) }]);
    this.#append(TRAFFIC, partition, decisionEnvelope(decision, pins).text);
  }

  #used(trigger: DecisionTrigger, groups: readonly string[], without: DecidedPayment['without']): FeaturesUse {
    if (groups.length === 0)
      return { status: without === 'capabilities' ? 'FORBIDDEN_BY_MASK' : 'NOT_REQUESTED_BY_PLAN' };
    if (without === 'features') return { status: 'UNAVAILABLE' };
    const snapshot = snapshotOf({
      pins,
      trigger,
      definitions: this.engine.now().features.policy_rev,
      groups: this.#features.snapshot(trigger, new Set(groups)),
      inputBasis: basisRecord(this.#basis),
    });
    return { status: 'USED', snapshot };
  }

  #append(topic: string, partition: number, text: string) {
    const name = `${topic} ${partition}`;
    const log = this.#logs.get(name) ?? [];
    this.#logs.set(name, log);
    const offset = asOffset(log.length);
    log.push(recordOf(text, offset));
    return offset;
  }
}

const normal = postureOf(NORMAL);
const restricted = masked();

function masked(): PostureUse {
  const use = postureOf(MOST_RESTRICTIVE);
  return use.status === 'USED' ? { status: 'USED', posture: { ...use.posture, posture_seq: 6 } } : use;
}

function postureEnvelope(use: PostureUse): string {
  if (use.status !== 'USED') throw new Error('a posture is published');
  const { posture } = use;
  return canonicalJson({
    manifest_fingerprint: NO_WORLD.manifest_fingerprint,
    event_id: `posture-${posture.posture_seq}`,
    event_type: 'dl.posture',
    schema_version: 'v1',
    producer: 'degrade-ladder',
    ts_utc: posture.decided_at_utc,
    payload: posture,
  });
}
