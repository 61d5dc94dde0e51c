import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { randomBytes } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { RegistryDone } from '../../src/modules/model-registry/model-registry.port.js';
import { canonicalJson } from '../../src/rails/canonical-json.js';
import type { Decision } from '../../src/rails/events/decision.schema.js';
import type { RegistryFact } from '../../src/rails/events/registry-fact.schema.js';
import { type Bundle, bundleDigest } from '../../src/rails/model/bundle.schema.js';
import { bundleOf, receiptOf } from '../contract/model-registry.kit.js';
import { cli } from '../support/cli.js';
import { Door, type Outside } from '../support/door.js';
import type { Http } from '../support/http.js';
import { LivePayments, withLongWaits } from '../support/live-payments.js';

/** One person does everything here; who may not is the contract suite's matter. */
const ALONE: Outside = {
  introduce: (profile) => {
    const registry = join(profile.folder, 'policy', 'mpr.registry.yaml');
    const text = readFileSync(registry, 'utf8');
    writeFileSync(registry, text.replace('four_eyes: true', 'four_eyes: false'));
    return [registry, withLongWaits(profile)];
  },
  env: {},
};

/** A bundle that comes into force while payments flow, and goes again. */
export function registrySuite(flavour: 'embedded' | 'real', groups: readonly string[]): void {
  describe(`the bundle in force, ${groups.length === 1 ? 'all roles in one process' : 'in several processes'}`, () => {
    let door: Door;
    let mpr: Http;
    let payments: LivePayments;

    beforeAll(async () => {
      door = await Door.open(flavour, groups, ALONE);
      mpr = await door.client('mpr');
      payments = await LivePayments.open(door, 'registry');
    }, 150_000);
    afterAll(() => door.close());

    const decided = async (): Promise<Decision> => await payments.decided();

    const did = async (path: string, body: object): Promise<RegistryFact> => {
      const answer = await mpr.post(`/v1/registry/${path}`, {
        reason: 'a test',
        idempotency_key: randomBytes(8).toString('hex'),
        ...body,
      });
      if (answer.status !== 200) throw new Error(`${path}: ${answer.status} ${answer.text}`);
      return (answer.body as RegistryDone).fact;
    };
    const seen = async (slot: string): Promise<number> =>
      ((await mpr.get(`/v1/registry/explain?slot=${slot}`)).body as { slot_seq: number }).slot_seq;
    const cites = ({ bundle }: Decision): unknown =>
      bundle.status === 'ACTIVE' ? [bundle.bundle_id, bundle.activation.event_id] : bundle;
    const of = ({ bundle, event_id }: RegistryFact): unknown => [bundle.bundle_id, event_id];

    /** Registered with what speaks for it, as a factory would, and approved. */
    async function candidate(bundle: Bundle): Promise<{ readonly bundle_id: string; readonly bundle_version: number }> {
      const upload = (document: object) => door.upload(canonicalJson(document), 'application/json');
      const manifest = await upload({ dataset: bundle.bundle_id });
      await did('bundles', {
        bundle,
        lineage: { train_run_id: bundleDigest(bundle), dataset_manifests: [manifest] },
        evidence: {
          eval_report: await upload({ report: bundle.bundle_id }),
          gate_receipt: await upload(receiptOf(bundle, 'PASS', manifest)),
        },
      });
      const { bundle_id, bundle_version } = bundle;
      await did('approvals', { bundle: { bundle_id, bundle_version } });
      return { bundle_id, bundle_version };
    }

    it('is the shipped one at first, by a fact; then the promoted one, and with one command the one before again', async () => {
      const shipped = ((await mpr.get('/v1/registry/explain?slot=primary')).body as { because: RegistryFact[] })
        .because;
      const [published, activated] = shipped;
      expect(published?.manifest?.evidence.shipped_by?.policy_id).toBe('mpr.registry');
      if (activated === undefined) throw new Error('nothing was activated');
      expect(cites(await decided())).toEqual(of(activated));

      const bundle = await candidate(bundleOf('candidate', 1, -9));
      const promoted = await did('promotions', { bundle, slot: 'primary', expected_seq: await seen('primary') });
      expect(cites(await decided())).toEqual(of(promoted));
      const back = await did('rollbacks', { slot: 'primary', expected_seq: await seen('primary') });
      expect(back).toMatchObject({ action: 'BUNDLE_ROLLED_BACK', bundle: activated.bundle, replaced: promoted.bundle });
      expect(cites(await decided())).toEqual(of(back));
    }, 60_000);

    it('is one or the other for each payment while it is changed, and never none', async () => {
      const bundle = await candidate(bundleOf('candidate', 2, -8));
      const before = await decided();
      const flow = async (): Promise<Decision[]> => {
        const made: Decision[] = [];
        for (let n = 0; n < 15; n += 1) made.push(await decided());
        return made;
      };
      const flowing = [flow(), flow(), flow()];
      const promoted = await did('promotions', { bundle, slot: 'primary', expected_seq: await seen('primary') });
      const back = await did('rollbacks', { slot: 'primary', expected_seq: await seen('primary') });
      const known = [cites(before), of(promoted), of(back)].map((each) => JSON.stringify(each));
      const flowed = (await Promise.all(flowing)).flat();
      expect(new Set(flowed.map((decision) => known.includes(JSON.stringify(cites(decision)))))).toEqual(
        new Set([true]),
      );
      expect(cites(await decided())).toEqual(of(back));
    }, 60_000);

    it('may be watched by another one, which is recorded and never acts', async () => {
      const bundle = { ...bundleOf('watcher', 1, 50) };
      await did('bundles', { bundle, lineage: { dataset_manifests: [] }, evidence: {} });
      const named = { bundle_id: 'watcher', bundle_version: 1 };
      const refused = await mpr.post('/v1/registry/promotions', {
        ...{ bundle: named, slot: 'primary', expected_seq: await seen('primary'), reason: 'r', idempotency_key: 'k1' },
      });
      expect([refused.status, (refused.body as { code: string }).code]).toEqual([409, 'MPR_STATE_FORBIDS']);
      const fact = await did('promotions', {
        bundle: named,
        slot: 'challenger',
        expected_seq: await seen('challenger'),
      });
      const { shadow_bundles, outcome } = await decided();
      expect(shadow_bundles).toMatchObject([
        { bundle_id: 'watcher', activation: { event_id: fact.event_id }, score_e6: expect.any(Number) },
      ]);
      expect(outcome).toBe('APPROVE');
      await did('retirements', { bundle: named });
      expect((await decided()).shadow_bundles).toEqual([]);
    }, 60_000);

    it('leaves nothing to the rules alone silently: retired, decisions say that none is active', async () => {
      const bundle = await candidate(bundleOf('short-lived', 1, -9));
      await did('promotions', { bundle, slot: 'primary', expected_seq: await seen('primary') });
      await did('retirements', { bundle });
      expect((await decided()).bundle).toEqual({ status: 'ABSENT', reason: 'NO_ACTIVE' });
      const back = await did('rollbacks', { slot: 'primary', expected_seq: await seen('primary') });
      expect(cites(await decided())).toEqual(of(back));
    }, 60_000);

    it('and every decision comes out the same again, each with the bundle that it cites', async () => {
      const found = await door.verified({ run_id: payments.runId });
      expect(found).toMatchObject({
        state: 'DONE',
        compared: payments.count,
        equal: payments.count,
        not_made_again: 0,
      });
      const other = bundleOf('other', 1, 3);
      const bundles = { active: { digest: bundleDigest(other), bundle: other }, shadow: [] };
      const otherwise = await door.verified({ run_id: payments.runId, counterfactual: { bundles } });
      expect(otherwise).toMatchObject({ compared: payments.count, equal: 0 });
    }, 60_000);

    if (flavour === 'embedded')
      it('is told by commands', async () => {
        const file = join(door.data, 'candidate.json');
        writeFileSync(file, JSON.stringify(bundleOf('by-hand')));
        const words = (...some: readonly string[]) => ['registry', ...some, '--data', door.data];
        const told = async (...some: readonly string[]) => {
          const { code, stdout, stderr } = await cli(words(...some));
          return { code, text: stdout + stderr };
        };
        expect(await told('publish', file, '--reason', 'tried')).toMatchObject({
          code: 0,
          text: expect.stringContaining('INELIGIBLE_RECEIPT_MISSING'),
        });
        expect(await told('approve', 'by-hand@1', '--reason', 'tried')).toMatchObject({
          code: 1,
          text: expect.stringContaining('MPR_STATE_FORBIDS'),
        });
        expect(await told('promote', 'by-hand', '--reason', 'tried')).toMatchObject({ code: 2 });
        expect((await told('explain')).text).toMatch(/default-linear@1 .*is active in primary/);
        expect((await told('rollback', '--to', 'candidate@2', '--reason', 'again')).text).toContain(
          'BUNDLE_ROLLED_BACK',
        );
        expect((await told('resolve')).text).toContain('candidate@2');
        expect((await told('resolve', '--as-of-seq', '2')).text).toContain('default-linear@1');
        expect((await told('list')).text).toContain('by-hand@1');
        expect((await told('log', '--limit', '200')).text).toContain('BUNDLE_RETIRED');
      }, 60_000);
  });
}
