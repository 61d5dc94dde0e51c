import { beforeEach, describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import type { Command } from '../../src/modules/model-registry/lifecycle.core.js';
import type { RegistryPolicy } from '../../src/modules/model-registry/model-registry.policy.js';
import type { RegistryDone, Resolution } from '../../src/modules/model-registry/model-registry.port.js';
import { asTopicName } from '../../src/rails/eb-ref.js';
import { isProbityError } from '../../src/rails/errors/probity-error.js';
import { readEvent } from '../../src/rails/events/read-event.js';
import type { RegistryFact } from '../../src/rails/events/registry-fact.schema.js';
import { bundleDigest } from '../../src/rails/model/bundle.schema.js';
import { objectKey, refTo } from '../../src/rails/ref.js';
import type { BundleSlot } from '../../src/rails/registry/scope.js';
import { fromEpochMs } from '../../src/rails/time.js';
import { ManualClock } from '../../src/substrate/clock/manual.clock.js';
import type { Objects } from '../../src/substrate/objects/objects.port.js';
import { recordsOf } from '../support/single-pass.js';
import type { LabelGround } from './label-store.kit.js';
import { bundleOf, MIA, put, receiptOf, type Registry, registryOf, RON, slot, SUE } from './model-registry.kit.js';

const CONTROL = asTopicName('fp.bus.control.v1');

/** The registry, over a database, a bus and objects. */
export function modelRegistrySuite(open: () => LabelGround): void {
  let clock: ManualClock;
  let registry: Registry;
  let round = 0;
  let primary: BundleSlot;
  let watched: BundleSlot;
  let keys = 0;

  const policyOf = (change: Partial<RegistryPolicy> = {}): RegistryPolicy => ({
    four_eyes: true,
    slots: [
      { name: primary, needs: 'APPROVED' },
      { name: watched, needs: 'REGISTERED' },
    ],
    shipped: [],
    ...change,
  });
  /** A name that no other test has. */
  const id = (name: string): string => `${name}-${round}`;
  const named = (name: string, bundle_version = 1) => ({ bundle_id: id(name), bundle_version });

  beforeEach(() => {
    round += 1;
    primary = slot(`p${round}`);
    watched = slot(`w${round}`);
    // Nothing is recorded in the past of what other tests have asked as of.
    clock = new ManualClock(Date.parse('2026-01-01T00:00:00Z') + round * 86_400_000);
    registry = registryOf(open(), clock, policyOf());
  });

  const asked = (actor = RON, key = `key ${round} ${(keys += 1)}`) => ({ actor, reason: 'because', key });
  const command = async (wish: Command, actor = RON, key?: string): Promise<RegistryDone> =>
    await registry.service.command(wish, key === undefined ? asked(actor) : asked(actor, key));
  const approved = async (name: string, version = 1): Promise<void> => {
    await registry.publish(bundleOf(id(name), version));
    await command({ action: 'approve', bundle: named(name, version) });
  };
  const seen = async (where = primary): Promise<number> => (await registry.store.active([where])).rows[0]?.seq ?? 0;
  const promote = async (name: string, version = 1, where = primary): Promise<RegistryDone> =>
    await command({
      action: 'promote',
      bundle: named(name, version),
      slot: where,
      expected_seq: await seen(where),
    });
  const active = async (where = primary, as_of_seq?: number): Promise<Resolution> => {
    const question = { slots: [where], ...(as_of_seq === undefined ? {} : { as_of_seq }) };
    const [found] = (await registry.service.resolve(question)).resolutions;
    if (found === undefined) throw new Error('no answer');
    return found;
  };
  const codeOf = async (work: Promise<unknown>): Promise<string> =>
    await work.then(
      () => 'done',
      (error: unknown) => (isProbityError(error) ? error.code : String(error)),
    );

  describe('publication', () => {
    it('registers a version with its manifest, and makes nothing active', async () => {
      const bundle = bundleOf(id('a'));
      const { outcome, fact } = await registry.publish(bundle);
      expect(outcome).toBe('NEW');
      expect(fact).toMatchObject({
        action: 'BUNDLE_PUBLISHED',
        bundle: { ...named('a'), digest: bundleDigest(bundle) },
        from_state: null,
        to_state: 'REGISTERED_ELIGIBLE',
        actor: MIA,
      });
      expect(await active()).toEqual({ slot: primary, status: 'NO_ACTIVE' });
    });

    it.each([
      ['an evaluation', { report: false }, ['INELIGIBLE_EVAL_EVIDENCE_MISSING']],
      ['a receipt', { receipt: 'none' }, ['INELIGIBLE_RECEIPT_MISSING']],
      ['a receipt that says PASS', { receipt: 'FAIL' }, ['INELIGIBLE_POLICY_GATE_FAILED']],
      ['lineage', { trained: false }, ['INELIGIBLE_LINEAGE_MISSING']],
    ] as const)('without %s it is ineligible, for ever: nobody approves it', async (_, more, reasons) => {
      const { fact } = await registry.publish(bundleOf(id('a')), more);
      expect([fact.to_state, fact.ineligible]).toEqual(['REGISTERED_INELIGIBLE', reasons]);
      expect(await codeOf(command({ action: 'approve', bundle: named('a') }))).toBe('MPR_STATE_FORBIDS');
      expect(await codeOf(promote('a'))).toBe('MPR_STATE_FORBIDS');
      // With what was missing it is another manifest, and a version never changes.
      expect(await codeOf(registry.publish(bundleOf(id('a')), { key: 'again' + String(round) }))).toBe(
        'MPR_IDENTITY_CONFLICT',
      );
    });

    it('the same content again is the same version, under its key or another; other content is a conflict', async () => {
      const first = await registry.publish(bundleOf(id('a')));
      const again = await registry.publish(bundleOf(id('a')));
      const other = await registry.publish(bundleOf(id('a')), { key: `other ${round}` });
      expect([again, other]).toEqual([
        { outcome: 'DUPLICATE', fact: first.fact },
        { outcome: 'DUPLICATE', fact: first.fact },
      ]);
      expect(await codeOf(registry.publish(bundleOf(id('a'), 1, 7)))).toBe('MPR_IDENTITY_CONFLICT');
      expect(await codeOf(registry.publish(bundleOf(id('b')), { key: `other ${round}` }))).toBe('done');
      expect(
        await codeOf(registry.publish(bundleOf(id('c')), { key: `publish ${bundleDigest(bundleOf(id('a')))}` })),
      ).toBe('MPR_IDEMPOTENCY_CONFLICT');
    });

    it.each([
      ['of which one value is no number', { intercept: 'much' }],
      ['without inputs', { inputs: [] }],
      ['of a format that nobody reads', { format: 'pickle' }],
    ])('a bundle %s is refused, nothing is stored, and who wanted it is kept', async (_, change) => {
      const bundle = bundleOf(id('a'));
      const spoilt = { ...bundle, model: { ...bundle.model, ...change } } as never;
      const work = registry.service.register(
        () => Promise.resolve(spoilt),
        { lineage: { dataset_manifests: [] }, evidence: {} },
        asked(MIA),
      );
      expect(await codeOf(work)).toBe('MPR_BUNDLE_INVALID');
      expect(await registry.store.factsOf(named('a'))).toEqual([]);
      expect((await registry.store.refusals(Number.MAX_SAFE_INTEGER, 1))[0]).toMatchObject({
        actor_id: MIA.actor_id,
        action: 'publish',
        code: 'MPR_BUNDLE_INVALID',
      });
    });

    it('a receipt of another bundle, or that contradicts itself, is no evidence', async () => {
      const { objects } = open();
      const manifest = await put(objects, { dataset: 'other' });
      const foreign = await put(objects, receiptOf(bundleOf(id('other')), 'PASS', manifest));
      expect(await codeOf(registry.publish(bundleOf(id('a')), { receipt: foreign }))).toBe('MPR_EVIDENCE_INVALID');
      const failed = receiptOf(bundleOf(id('a')), 'FAIL', manifest);
      const contrary = await put(objects, { ...failed, result: 'PASS' });
      expect(await codeOf(registry.publish(bundleOf(id('a')), { receipt: contrary }))).toBe('MPR_EVIDENCE_INVALID');
      const own = await put(objects, receiptOf(bundleOf(id('a')), 'PASS', manifest));
      expect(await codeOf(registry.publish(bundleOf(id('a')), { receipt: own }))).toBe('done');
    });

    it('of an object that is not there or has other bytes nothing is registered', async () => {
      const { objects } = open();
      const ref = await put(objects, bundleOf(id('a')));
      const publish = (bundle: typeof ref) =>
        registry.service.publish(
          {
            bundle,
            lineage: { dataset_manifests: [] },
            evidence: {},
            reason: 'r',
            idempotency_key: `k ${(keys += 1)}`,
          },
          { caller: { actor: MIA, keyId: 'k', roles: [] } } as never,
        );
      const absent = refTo(objectKey(`evidence/none-${round}`), ref.digest.hex, ref.size, ref.media_type);
      expect(await codeOf(publish(absent))).toBe('OBJECTS_NOT_FOUND');
      const tampered = { ...ref, digest: { ...ref.digest, hex: bundleDigest(bundleOf('x')) } };
      expect(await codeOf(publish(tampered))).toBe('OBJECTS_DIGEST_MISMATCH');
      expect(await registry.store.factsOf(named('a'))).toEqual([]);
      expect(await codeOf(publish(ref))).toBe('done');
    });
  });

  describe('approval', () => {
    it('is by somebody else than the publisher; the policy says so', async () => {
      await registry.publish(bundleOf(id('a')));
      expect(await codeOf(command({ action: 'approve', bundle: named('a') }, MIA))).toBe('MPR_FOUR_EYES');
      const lax = registryOf(open(), clock, policyOf({ four_eyes: false }));
      const { fact } = await lax.service.command({ action: 'approve', bundle: named('a') }, asked(MIA));
      expect([fact.action, fact.from_state, fact.to_state]).toEqual([
        'BUNDLE_APPROVED',
        'REGISTERED_ELIGIBLE',
        'APPROVED',
      ]);
      expect(await codeOf(command({ action: 'approve', bundle: named('none') }))).toBe('MPR_BUNDLE_UNKNOWN');
    });

    it('goes before promotion, but for places that only watch', async () => {
      await registry.publish(bundleOf(id('a')), { receipt: 'none' });
      expect(await codeOf(promote('a'))).toBe('MPR_STATE_FORBIDS');
      expect(await codeOf(promote('a', 1, watched))).toBe('done');
      expect(await codeOf(promote('a', 1, slot('nowhere')))).toBe('MPR_SLOT_UNKNOWN');
    });
  });

  describe('promotion', () => {
    it('replaces what was active, and names it', async () => {
      await approved('a');
      await approved('b');
      const first = await promote('a');
      const second = await promote('b');
      expect([first.fact.replaced, second.fact.replaced]).toEqual([null, first.fact.bundle]);
      expect(second.fact.scopes).toEqual([{ environment: 'test', mode: 'live', bundle_slot: primary }]);
      expect(await active()).toMatchObject({
        status: 'ACTIVE',
        bundle: named('b'),
        activation: { event_id: second.fact.event_id, registry_seq: second.fact.registry_seq },
      });
      expect(await codeOf(promote('b'))).toBe('MPR_STATE_FORBIDS');
    });

    it('of two who act on the same sight one wins, and the other is told by whom', async () => {
      await approved('a');
      await approved('b');
      const expected_seq = await seen();
      const outcomes = await Promise.allSettled([
        command({ action: 'promote', bundle: named('a'), slot: primary, expected_seq }, RON),
        command({ action: 'promote', bundle: named('b'), slot: primary, expected_seq }, SUE),
      ]);
      const won = outcomes.flatMap((each) => (each.status === 'fulfilled' ? [each.value] : []));
      const lost = outcomes.flatMap((each) => (each.status === 'rejected' ? [each.reason as Error] : []));
      expect([won.length, lost.length]).toEqual([1, 1]);
      expect(lost[0]).toMatchObject({ code: 'MPR_CONFLICT' });
      expect(String(lost[0])).toContain(won[0]?.fact.actor.actor_id);
      expect(await active()).toMatchObject({ bundle: won[0]?.fact.bundle });
    });

    it('asked for again under its key is the first fact, also once the slot has gone on', async () => {
      await approved('a');
      await approved('b');
      const wish = { action: 'promote', bundle: named('a'), slot: primary, expected_seq: await seen() } as const;
      const first = await command(wish, RON, `once ${round}`);
      await promote('b');
      expect(await command(wish, RON, `once ${round}`)).toEqual({ outcome: 'DUPLICATE', fact: first.fact });
      expect(await codeOf(command({ ...wish, bundle: named('b') }, RON, `once ${round}`))).toBe(
        'MPR_IDEMPOTENCY_CONFLICT',
      );
      // Somebody else does not do it under the same key either.
      expect(await codeOf(command(wish, SUE, `once ${round}`))).toBe('MPR_IDEMPOTENCY_CONFLICT');
    });

    it('reads the bytes again: what was tampered with meanwhile becomes active nowhere', async () => {
      await approved('a');
      const { database, bus, objects } = open();
      const spoilt = Object.create(objects, {
        read: {
          value: (...words: Parameters<Objects['read']>) =>
            words[0].locator.startsWith('registry/')
              ? objects.read({ ...words[0], digest: { algo: 'sha256', hex: bundleDigest(bundleOf('x')) } })
              : objects.read(...words),
        },
      }) as Objects;
      const blind = registryOf({ database, bus, objects: spoilt }, clock, policyOf());
      const wish = { action: 'promote', bundle: named('a'), slot: primary, expected_seq: 0 } as const;
      expect(await codeOf(blind.service.command(wish, asked()))).toBe('OBJECTS_DIGEST_MISMATCH');
      expect(await active()).toMatchObject({ status: 'NO_ACTIVE' });
      expect(await codeOf(promote('a'))).toBe('done');
    });
  });

  describe('going back and ending', () => {
    it('goes back to what was active before, or to the one that is named', async () => {
      for (const name of ['a', 'b', 'c']) {
        await approved(name);
        await promote(name);
      }
      const rollBack = async (bundle?: ReturnType<typeof named>): Promise<RegistryFact> =>
        (
          await command({
            action: 'rollback',
            slot: primary,
            expected_seq: await seen(),
            ...(bundle === undefined ? {} : { bundle }),
          })
        ).fact;
      expect(await rollBack()).toMatchObject({
        action: 'BUNDLE_ROLLED_BACK',
        bundle: named('b'),
        replaced: named('c'),
      });
      expect(await rollBack(named('a'))).toMatchObject({ bundle: named('a') });
      await command({ action: 'retire', bundle: named('b') });
      expect(await codeOf(rollBack(named('b')))).toBe('MPR_NO_ROLLBACK_TARGET');
      // Retired ones are passed by.
      expect(await rollBack()).toMatchObject({ bundle: named('c') });
    });

    it('has nothing to go back to where nothing was before', async () => {
      await approved('a');
      await promote('a');
      const wish = { action: 'rollback', slot: primary, expected_seq: await seen() } as const;
      expect(await codeOf(command(wish))).toBe('MPR_NO_ROLLBACK_TARGET');
    });

    it('a retired version leaves its slots with nothing, and is never active again', async () => {
      await approved('a');
      await approved('b');
      await promote('b');
      await promote('a');
      await promote('a', 1, watched);
      const { fact } = await command({ action: 'retire', bundle: named('a') });
      expect(fact.scopes.map(({ bundle_slot }) => bundle_slot).sort()).toEqual([primary, watched].sort());
      expect([(await active()).status, (await active(watched)).status]).toEqual(['NO_ACTIVE', 'NO_ACTIVE']);
      expect(await codeOf(promote('a'))).toBe('MPR_STATE_FORBIDS');
      expect(await codeOf(command({ action: 'retire', bundle: named('a') }))).toBe('MPR_STATE_FORBIDS');
    });
  });

  describe('as of a moment that has passed', () => {
    it('answers as it did then, whatever happened since (random lifecycles)', async () => {
      const names = ['a', 'b', 'c'];
      const wish = fc.record({
        do: fc.constantFrom('publish', 'approve', 'promote', 'rollback', 'retire'),
        name: fc.constantFrom(...names),
        where: fc.constantFrom('primary', 'watched'),
        tick: fc.integer({ min: 0, max: 3 }),
      });
      await fc.assert(
        fc.asyncProperty(fc.array(wish, { minLength: 5, maxLength: 25 }), async (wishes) => {
          round += 1;
          [primary, watched] = [slot(`p${round}`), slot(`w${round}`)];
          registry = registryOf(open(), clock, policyOf());
          const answers: { readonly seq: number; readonly at: number; readonly was: readonly Resolution[] }[] = [];
          for (const { do: deed, name, where, tick } of wishes) {
            await clock.advance(tick);
            const at = where === 'primary' ? primary : watched;
            const wanted =
              deed === 'publish'
                ? registry.publish(bundleOf(id(name)))
                : deed === 'promote'
                  ? promote(name, 1, at)
                  : deed === 'rollback'
                    ? command({ action: 'rollback', slot: at, expected_seq: await seen(at) })
                    : command({ action: deed, bundle: named(name) });
            await codeOf(wanted);
            const { resolutions, registry_seq } = await registry.service.resolve({ slots: [primary, watched] });
            answers.push({ seq: registry_seq, at: clock.nowMs(), was: resolutions });
          }
          for (const { seq, was } of answers) {
            const then = await registry.service.resolve({ slots: [primary, watched], as_of_seq: seq });
            expect(then).toEqual({ resolutions: was, registry_seq: seq });
          }
          // A time means one fact, and goes on meaning it: what is recorded later is later, also where the clock stands still.
          await clock.advance(1);
          const asOf = fromEpochMs(clock.nowMs());
          const before = await registry.service.resolve({ slots: [primary, watched], as_of_utc: asOf });
          for (const name of names) {
            await codeOf(registry.publish(bundleOf(id(name))));
            await codeOf(command({ action: 'approve', bundle: named(name) }));
            await codeOf(promote(name));
          }
          expect(await registry.service.resolve({ slots: [primary, watched], as_of_utc: asOf })).toEqual(before);
        }),
        { numRuns: 8 },
      );
    }, 60_000);

    it('does not answer about what is still to come', async () => {
      const { registry_seq } = await registry.service.resolve({ slots: [primary] });
      const later = fromEpochMs(clock.nowMs() + 1);
      expect([
        await codeOf(registry.service.resolve({ slots: [primary], as_of_seq: registry_seq + 1 })),
        await codeOf(registry.service.resolve({ slots: [primary], as_of_utc: later })),
      ]).toEqual(['MPR_CURSOR_UNKNOWN', 'MPR_AS_OF_IN_FUTURE']);
    });
  });

  describe('what is shipped', () => {
    const shipping = (name: string, four_eyes = true): Registry => {
      const bundle = bundleOf(id(name));
      return registryOf(
        open(),
        clock,
        policyOf({ four_eyes, shipped: [{ slot: primary, digest: bundleDigest(bundle), bundle }] }),
      );
    };

    it('is active where nothing ever was, once, however many processes start', async () => {
      const lives = [shipping('a'), shipping('a'), shipping('a')];
      await Promise.all(lives.map((life) => life.shipped.introduce().catch(() => undefined)));
      await shipping('a').shipped.introduce();
      expect((await registry.store.factsOf(named('a'))).map(({ action }) => action)).toEqual([
        'BUNDLE_PUBLISHED',
        'BUNDLE_PROMOTED_ACTIVE',
      ]);
      expect(await active()).toMatchObject({ bundle: named('a') });
    });

    it('takes back nothing that people decided', async () => {
      await shipping('a').shipped.introduce();
      await command({ action: 'retire', bundle: named('a') });
      await shipping('a').shipped.introduce();
      await shipping('b').shipped.introduce();
      expect(await active()).toMatchObject({ status: 'NO_ACTIVE' });
    });
  });

  it('tells the control topic of each fact, in their order', async () => {
    await approved('a');
    await promote('a');
    while ((await registry.teller.tell()) > 0);
    const records = await recordsOf(open().bus, CONTROL);
    const told = records.flatMap(({ record }) => {
      const read = readEvent(record.value);
      const fact =
        read.ok && read.event.eventType === 'mpr.bundle' ? (read.event.payload as never as RegistryFact) : null;
      return fact?.bundle.bundle_id === id('a') ? [fact] : [];
    });
    expect(told).toEqual(await registry.store.factsOf(named('a')));
    expect(told).toHaveLength(3);
  });

  it.each(['facts', 'activations', 'refusals'])('nobody edits or deletes %s', async (table) => {
    await approved('a');
    await promote('a');
    await codeOf(promote('a'));
    const { database } = open();
    await expect(database.query(`delete from ${table}`)).rejects.toThrow();
    await expect(
      database.query(
        `update ${table} set ${table === 'refusals' ? 'code' : table === 'facts' ? 'action' : 'digest'} = 'x'`,
      ),
    ).rejects.toThrow();
  });
}
