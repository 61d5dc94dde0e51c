import { beforeEach, describe, expect, it } from '@jest/globals';
import { ROOT_CONTEXT } from '@opentelemetry/api';
import { canonicalJson } from '../../rails/canonical-json.js';
import type { DecisionPolicy } from '../../rails/decision/policy.schema.js';
import { digestText } from '../../rails/digest.js';
import { ProbityError } from '../../rails/errors/probity-error.js';
import type { Decision } from '../../rails/events/decision.schema.js';
import { type Bundle, bundleDigest } from '../../rails/model/bundle.schema.js';
import { objectKey, type Ref, refTo } from '../../rails/ref.js';
import { ManualClock } from '../../substrate/clock/manual.clock.js';
import type { Objects } from '../../substrate/objects/objects.port.js';
import type { Telemetry } from '../../substrate/telemetry/telemetry.port.js';
import { ModelRegistryPort, type Resolution, type Resolved } from '../model-registry/model-registry.port.js';
import { RegistryBundles } from './bundle-source.js';

const policy = {
  bundles: { primary: 'primary', stage2: { slot: 'second', from_score_e6: 5, to_score_e6: 9 }, shadow: ['w1', 'w2'] },
  waits: { registry_ms: 100 },
} as unknown as DecisionPolicy;

function bundleOf(bundle_id: string): Bundle {
  return {
    bundle_id,
    bundle_version: 1,
    compatibility: { feature_groups: [], input_contract: 'transaction.v1' },
    lineage: { trained_on: 'nothing', recipe: 'by hand', dataset_digest: digestText('nothing') },
    model: {
      format: 'probity.linear.v1',
      intercept: 0,
      inputs: [{ source: 'event', name: 'amount_minor', mean: 0, deviation: 1, weight: 1, weight_missing: 0 }],
    },
  };
}

/** A registry of which each slot has a history of bundles, by the number of the fact. */
class Registry extends ModelRegistryPort {
  readonly history = new Map<string, [number, Bundle | null][]>();
  away = false;
  /** So many questions find their time gone. */
  late = 0;
  asked = 0;

  resolve({ slots, as_of_seq = 1_000 }: Parameters<ModelRegistryPort['resolve']>[0]): Promise<Resolved> {
    this.asked += 1;
    if (this.late > 0) {
      this.late -= 1;
      return Promise.reject(new ProbityError('RPC_DEADLINE_EXCEEDED', 'late'));
    }
    if (this.away) return Promise.reject(new ProbityError('RPC_UNAVAILABLE', 'away'));
    const resolutions = slots.map((slot): Resolution => {
      const last = (this.history.get(slot) ?? []).filter(([seq]) => seq <= as_of_seq).at(-1);
      const bundle = last?.[1] ?? null;
      if (last === undefined || bundle === null) return { slot: slot, status: 'NO_ACTIVE' };
      const digest = bundleDigest(bundle);
      return {
        slot: slot,
        status: 'ACTIVE',
        bundle: { bundle_id: bundle.bundle_id, bundle_version: 1, digest },
        ref: refTo(objectKey(`registry/bundles/${digest}`), digest, 1, 'application/json'),
        activation: { event_id: digestText(`fact ${last[0]}`), registry_seq: last[0] },
      };
    });
    return Promise.resolve({ resolutions, registry_seq: 1_000 });
  }

  publish(): never {
    throw new Error('nobody publishes here');
  }
}

describe('bundles of the registry', () => {
  const [a, b, c] = ['a', 'b', 'c'].map(bundleOf) as [Bundle, Bundle, Bundle];
  let registry: Registry;
  let clock: ManualClock;
  let stored: Map<string, string>;
  let reads: number;
  let source: RegistryBundles;

  beforeEach(() => {
    registry = new Registry();
    clock = new ManualClock();
    stored = new Map([a, b, c].map((bundle) => [bundleDigest(bundle), canonicalJson(bundle)]));
    reads = 0;
    const objects = {
      read: ({ digest }: Ref) => {
        reads += 1;
        const text = stored.get(digest.hex);
        return text === undefined
          ? Promise.reject(new ProbityError('OBJECTS_UNAVAILABLE', 'away'))
          : Promise.resolve(Buffer.from(text));
      },
    } as unknown as Objects;
    const telemetry = { logger: { warn: () => 0, error: () => 0, info: () => 0 } } as unknown as Telemetry;
    source = new RegistryBundles(registry, objects, clock, telemetry);
    registry.history.set('primary', [[3, a]]);
  });
  const now = () => source.inForce(policy, ROOT_CONTEXT);

  /** As far as it names bundles. */
  const decision = (active: Bundle | null, seq: number, more: object = {}): Decision =>
    ({
      bundle: active === null ? { status: 'ABSENT', reason: 'NO_ACTIVE' } : { status: 'ACTIVE', ...cited(active, seq) },
      model: {},
      shadow_bundles: [],
      ...more,
    }) as unknown as Decision;
  const cited = (bundle: Bundle, seq: number) => ({
    bundle_id: bundle.bundle_id,
    bundle_version: 1,
    digest: bundleDigest(bundle),
    activation: { event_id: digestText(`fact ${seq}`), registry_seq: seq },
  });

  it('are asked for with each batch and read once, and the very same object while nothing changes', async () => {
    const first = await now();
    expect(first).toMatchObject({ active: { bundle: a, unusable: null }, stage2: null, band: [5, 9], shadow: [] });
    expect(await now()).toBe(first);
    expect([registry.asked, reads]).toEqual([2, 1]);
    registry.history.get('primary')?.push([4, b]);
    registry.history.set('w2', [[5, c]]);
    const second = await now();
    expect(second.active?.activation).toEqual({ event_id: digestText('fact 4'), registry_seq: 4 });
    expect(second.shadow.map(({ bundle }) => bundle)).toEqual([c]);
  });

  it('are none where nobody answers, and none other in their place', async () => {
    await now();
    registry.away = true;
    expect(await now()).toMatchObject({ active: null, absent: 'REGISTRY_UNAVAILABLE' });
  });

  it('are asked for once more where the time was gone, and no third time', async () => {
    registry.late = 1;
    expect(await now()).toMatchObject({ active: { bundle: a } });
    registry.late = 2;
    expect(await now()).toMatchObject({ absent: 'REGISTRY_UNAVAILABLE' });
    expect(registry.asked).toBe(4);
  });

  it('are named and not asked where their bytes cannot be had, and tried again a second later', async () => {
    const digest = bundleDigest(a);
    const text = stored.get(digest) ?? '';
    stored.delete(digest);
    expect((await now()).active).toMatchObject({ bundle: null, unusable: 'BUNDLE_UNREADABLE:OBJECTS_UNAVAILABLE' });
    stored.set(digest, text);
    expect((await now()).active).toMatchObject({ bundle: null });
    expect(reads).toBe(1);
    await clock.advance(1_001);
    expect((await now()).active).toMatchObject({ bundle: a, unusable: null });
  });

  it('are not believed where the object is another bundle', async () => {
    stored.set(bundleDigest(a), canonicalJson(b));
    expect((await now()).active).toMatchObject({ bundle: null, unusable: 'BUNDLE_UNREADABLE:INTERNAL' });
  });

  describe('that a decision cites', () => {
    it('are those of the facts that it names, whatever is active since', async () => {
      registry.history.get('primary')?.push([4, b], [6, null]);
      registry.history.set('w1', [[5, c]]);
      expect(await source.cited(decision(a, 3), policy)).toMatchObject({ active: { bundle: a } });
      expect(await source.cited(decision(b, 4, { shadow_bundles: [cited(c, 5)] }), policy)).toMatchObject({
        active: { bundle: b },
        shadow: [{ bundle: c }],
      });
      expect(await source.cited(decision(null, 0), policy)).toMatchObject({ active: null, absent: 'NO_ACTIVE' });
      const unanswered = decision(null, 0, { bundle: { status: 'ABSENT', reason: 'REGISTRY_UNAVAILABLE' } });
      expect(await source.cited(unanswered, policy)).toMatchObject({ absent: 'REGISTRY_UNAVAILABLE' });
    });

    it('were unreadable then, and stay so for it', async () => {
      const skipped = 'BUNDLE_UNREADABLE:OBJECTS_UNAVAILABLE';
      expect(await source.cited(decision(a, 3, { model: { skipped } }), policy)).toMatchObject({
        active: { bundle: null, unusable: skipped },
      });
    });

    it.each([
      ['a fact that says something else', () => decision(b, 3)],
      ['a fact that is not there', () => decision(a, 2)],
      ['a fact of another slot', () => decision(null, 0, { model: { stage2: cited(a, 3) } })],
    ])('are refused with %s', async (_, made) => {
      expect(await source.cited(made(), policy)).toMatch(/^the registry has no fact \d+ that made/);
    });
  });
});
