import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { randomBytes } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { DryRun } from '../../src/modules/decision-fabric/dry-run.schema.js';
import type { LaneDone, PolicyView } from '../../src/modules/run-operate/policy-lanes.service.js';
import type { JsonValue } from '../../src/rails/canonical-json.js';
import type { Decision } from '../../src/rails/events/decision.schema.js';
import { type PolicyRev, sealPolicy } from '../../src/rails/policy-rev.js';
import { generateApiKey } from '../../src/substrate/identity/api-key.js';
import { cli } from '../support/cli.js';
import { Door, type Outside } from '../support/door.js';
import { eventually } from '../support/eventually.js';
import { Http } from '../support/http.js';
import { LivePayments, withLongWaits } from '../support/live-payments.js';

/** A second person, and waits that a busy machine keeps. On real servers keys are listed, on a laptop they are made. */
function twoPeople(flavour: 'embedded' | 'real'): {
  readonly outside: Outside;
  readonly keyIn: (data: string) => string;
} {
  const { keySha256, token } = generateApiKey('officer');
  const who = 'actor_id: HUMAN::officer\n      roles: [operator]\n';
  const [before, listed] =
    flavour === 'real'
      ? ['    - key_id: tester', `    - key_id: officer\n      key_sha256: '${keySha256}'\n      ${who}`]
      : ['    # One per unit', `    - key_id: officer\n      ${who}`];
  return {
    outside: {
      introduce: (profile) => {
        profile.edit(profile.access, before, `${listed}${before}`);
        return [profile.access, withLongWaits(profile)];
      },
      env: {},
    },
    keyIn: (data) => (flavour === 'real' ? token : readFileSync(join(data, 'keys', 'officer.key'), 'utf8').trim()),
  };
}

type Body = Readonly<Record<string, JsonValue>>;

/** Policies that change while payments flow. */
export function governanceSuite(flavour: 'embedded' | 'real', groups: readonly string[], { whole = false } = {}): void {
  describe(`policies that people put in force, ${groups.length === 1 ? 'all roles in one process' : 'in several processes'}`, () => {
    let door: Door;
    let operator: Http;
    let officer: Http;
    let payments: LivePayments;

    beforeAll(async () => {
      const { outside, keyIn } = twoPeople(flavour);
      door = await Door.open(flavour, groups, outside);
      operator = await door.client('ops');
      officer = new Http(operator.base, keyIn(door.data));
      payments = await LivePayments.open(door, 'governance');
    }, 150_000);
    afterAll(() => door.close());

    const decided = async (): Promise<Decision> => await payments.decided();

    async function flow(): Promise<readonly Decision[]> {
      const made: Decision[] = [];
      for (let n = 0; n < 12; n += 1) made.push(await decided());
      return made;
    }

    const wish = (more: object): object => ({
      reason: 'a test',
      idempotency_key: randomBytes(8).toString('hex'),
      ...more,
    });
    async function did(who: Http, path: string, more: object): Promise<LaneDone> {
      const { status, body, text } = await who.post(`/v1/policies/${path}`, wish(more));
      if (status !== 200) throw new Error(`${path}: ${status} ${text}`);
      return body as LaneDone;
    }
    const shown = async (id: string): Promise<PolicyView> =>
      (await operator.get(`/v1/policies/${id}/revisions`)).body as PolicyView;
    const head = async (id: string): Promise<string | null> => (await shown(id)).head?.fact_id ?? null;

    /** What is in force, changed, as the next revision: proposed by one person, looked at, and approved by another. */
    async function approved(
      id: string,
      change: (body: Body) => Body,
      looked: (proposed: {
        readonly policy_rev: PolicyRev;
        readonly body: JsonValue;
      }) => Promise<void> = async () => {},
    ): Promise<PolicyRev> {
      const { policy_rev } = await shown(id);
      const { body } = (await operator.get(`/v1/policies/${id}/revisions/${policy_rev.revision}`)).body as {
        body: Body;
      };
      const view = (await operator.get(`/v1/policies/${id}/revisions`)).body as {
        revisions: { policy_rev: PolicyRev }[];
      };
      const next = Math.max(...view.revisions.map(({ policy_rev: { revision } }) => revision)) + 1;
      const sealed = sealPolicy(id, next, change(body));
      const artifact = { ...sealed.policy_rev, body: sealed.body };
      await did(operator, `${id}/proposals`, { artifact });
      await looked(sealed);
      await did(officer, `${id}/approve`, { revision: next });
      return sealed.policy_rev;
    }
    const otherRules = (body: Body): Body => {
      const { lists, ...rest } = body;
      const [first, ...others] = lists as Body[];
      return { ...rest, lists: [{ ...first, name: `block_${payments.count}` }, ...others] };
    };

    const declineAll = (body: Body): Body => {
      const lists = JSON.parse(JSON.stringify(body['lists'])) as { kind: string; rules: { when: string }[] }[];
      const [first] = lists.find(({ kind }) => kind === 'block')?.rules ?? [];
      if (first === undefined) throw new Error('no rule blocks');
      first.when = 'true';
      return { ...body, lists };
    };

    /** One byte of an artifact is another one; the way back. */
    const tamper = async ({ content_digest }: PolicyRev): Promise<() => Promise<void>> =>
      await door.spoil(`gov/policies/${content_digest}.json`, 'COUNTRY_BLOCKED', 'COUNTRY_BLOCKEE');

    /** What the rules would have decided on all payments up to now, while more of them flow. */
    async function dryRunOn(rules: JsonValue): Promise<DryRun> {
      const df = await door.client('df');
      const { body, status, text } = await df.post('/v1/decisions/dry-runs', {
        run_id: payments.runId,
        candidate: { rules },
      });
      if (status !== 202) throw new Error(text);
      const { dry_run_id: id } = body as DryRun;
      const find = async () => (await df.get(`/v1/decisions/dry-runs/${id}`)).body as DryRun;
      return await eventually(find, ({ state }) => state !== 'RUNNING', 60_000);
    }

    it('are proposed, tried on history, approved and changed while payments flow: each is decided, and cites one of the revisions', async () => {
      const before = await shown('df.rules');
      await decided();
      const flowing = [flow(), flow()];
      const rev = await approved('df.rules', otherRules, async ({ body }) => {
        const found = await dryRunOn(body);
        expect(found).toMatchObject({ state: 'DONE', report: { changed: 0, decided: found.seen } });
        expect(found.report?.control).toEqual({ compared: found.seen, equal: found.seen });
        expect(found.seen).toBeGreaterThan(0);
        const declining = await dryRunOn(declineAll(body as Body));
        expect(declining.report).toMatchObject({ changed: declining.seen, after: { DECLINE: declining.seen } });
        // Neither was ever in force.
        expect((await decided()).rules.policy_rev).toEqual(before.policy_rev);
      });
      await did(operator, 'df.rules/activate', { revision: rev.revision, expected: await head('df.rules') });
      const cites = async (wanted: PolicyRev): Promise<void> => {
        await eventually(
          async () => (await decided()).rules.policy_rev.content_digest,
          (digest) => digest === wanted.content_digest,
          15_000,
        );
      };
      await cites(rev);
      const back = await did(officer, 'df.rules/rollback', { expected: await head('df.rules') });
      expect(back.fact).toMatchObject({ kind: 'POLICY_ROLLED_BACK', before: rev, after: before.policy_rev });
      await cites(before.policy_rev);
      const flowed = (await Promise.all(flowing)).flat();
      expect(flowed).toHaveLength(24);
      const known = [before.policy_rev, rev].map((each) => JSON.stringify(each));
      for (const { rules } of flowed) expect(known).toContain(JSON.stringify(rules.policy_rev));
    }, 90_000);

    it('are verified each under the revision that it cites; one that cannot be read any more is named', async () => {
      const { revisions } = (await operator.get('/v1/policies/df.rules/revisions')).body as {
        revisions: { policy_rev: PolicyRev; state: string }[];
      };
      const past = revisions.find(({ state }) => state === 'WAS_ACTIVE');
      if (past === undefined) throw new Error('nothing was in force before');
      const restore = await tamper(past.policy_rev);
      const spoilt = await door.verified({ run_id: payments.runId });
      expect(spoilt.not_made_again).toBeGreaterThan(0);
      expect(spoilt.first_not_made_again?.why).toContain(
        `OPS_ARTIFACT_TAMPERED: gov/policies/${past.policy_rev.content_digest}`,
      );
      await restore();
      const found = await door.verified({ run_id: payments.runId });
      expect(found).toMatchObject({
        state: 'DONE',
        compared: payments.count,
        equal: payments.count,
        not_made_again: 0,
      });
    }, 60_000);

    it('hold at the door while payments flow: every event has one receipt, and each cites one of the revisions', async () => {
      const { policy_rev: before } = await shown('ig.admission');
      const rev = await approved('ig.admission', (body) => ({
        ...body,
        limits: { ...(body['limits'] as Body), event_bytes_max: 262_143 },
      }));
      const ig = await door.client('ig');
      const admittedUnder = async (eventId: string): Promise<readonly PolicyRev[]> => {
        const { body } = await ig.get(`/v1/receipts?event_id=${eventId}&run_id=${payments.runId}`);
        return (body as { receipts: { policy_rev: PolicyRev }[] }).receipts.map(({ policy_rev }) => policy_rev);
      };
      const flowing = [flow(), flow()];
      const first = await decided();
      await did(operator, 'ig.admission/activate', { revision: rev.revision, expected: await head('ig.admission') });
      await eventually(
        async () => (await admittedUnder((await decided()).source_event.event_id))[0]?.revision,
        (revision) => revision === rev.revision,
        15_000,
      );
      const flowed = (await Promise.all(flowing)).flat();
      const last = await decided();
      expect(flowed).toHaveLength(24);
      // Payments and their decisions, both admitted by the gate.
      const ids = [first, ...flowed, last].flatMap(({ source_event, decision_id }): string[] => [
        source_event.event_id,
        decision_id,
      ]);
      const receipts = await Promise.all(ids.map((id) => admittedUnder(id)));
      for (const each of receipts) {
        expect(each).toHaveLength(1);
        expect([before, rev]).toContainEqual(each[0]);
      }
      expect([receipts[0], receipts.at(-1)]).toEqual([[before], [rev]]);
    }, 90_000);

    it('that something is built from at the start wait for it, and say so', async () => {
      const rev = await approved('edge.producers', (body) => ({ ...body }));
      await did(operator, 'edge.producers/activate', {
        revision: rev.revision,
        expected: await head('edge.producers'),
      });
      expect(await shown('edge.producers')).toMatchObject({ state: 'AWAITS_RESTART', activated: rev });
    }, 60_000);

    if (whole) {
      it('are told and changed by commands', async () => {
        const told = async (...words: readonly string[]) => {
          const { code, stdout, stderr } = await cli([...words, '--data', door.data]);
          return { code, text: stdout + stderr };
        };
        const policy = async (...words: readonly string[]) => await told('policy', ...words);
        expect(await policy('list')).toMatchObject({ code: 0, text: expect.stringContaining('df.rules') });
        const rev = await approved('df.rules', otherRules);
        const before = (await shown('df.rules')).policy_rev.revision;
        const [number, earlier] = [String(rev.revision), String(before)];
        const tried = async (revision: string) =>
          await told('decision', 'dry-run', '--run', payments.runId, '--revision', revision);
        expect(await tried(`df.rules@${number}`)).toMatchObject({
          code: 0,
          text: expect.stringMatching(/control: ([0-9,]+) of \1 equal/),
        });
        expect(await tried('df.rules@99')).toMatchObject({ code: 1, text: expect.stringContaining('OPS_') });
        expect(await tried('ig.admission@1')).toMatchObject({ code: 2 });
        expect(await policy('diff', 'df.rules', earlier, number)).toMatchObject({
          code: 1,
          text: expect.stringContaining('/lists/0/name'),
        });
        expect(await policy('diff', 'df.rules', earlier, earlier)).toMatchObject({ code: 0 });
        expect(await policy('activate', 'df.rules', number, '--reason', 'by hand')).toMatchObject({
          code: 0,
          text: expect.stringContaining('POLICY_ACTIVATED'),
        });
        expect(await policy('activate', 'df.rules', number, '--reason', 'by hand')).toMatchObject({
          code: 1,
          text: expect.stringContaining('OPS_STATE_FORBIDS'),
        });
        expect(await policy('rollback', 'df.rules', '--reason', 'by hand')).toMatchObject({ code: 0 });
        expect(await policy('history', 'df.rules')).toMatchObject({
          code: 0,
          text: expect.stringContaining('WAS_ACTIVE'),
        });
        const file = join(door.data, 'rules.json');
        const write = (artifact: object): void => {
          writeFileSync(file, JSON.stringify(artifact));
        };
        const { body } = (await operator.get(`/v1/policies/df.rules/revisions/${number}`)).body as { body: Body };
        const next = sealPolicy('df.rules', rev.revision + 1, body);
        write({ ...next.policy_rev, body });
        const judge = async () => await policy('propose', file, '--reason', 'tried', '--dry-run');
        expect(await judge()).toMatchObject({ code: 0, text: expect.stringContaining('Nothing was kept') });
        write({ ...next.policy_rev, body: { lists: [] } });
        expect(await judge()).toMatchObject({ code: 1, text: expect.stringContaining('OPS_POLICY_INVALID') });
        expect((await shown('df.rules')).policy_rev.revision).toBe(before);
        const changes = await told('changes', '--limit', '200');
        for (const kind of ['POLICY_ROLLED_BACK', 'POLICY_ACTIVATED', 'BUNDLE_PROMOTED_ACTIVE', 'POSTURE'])
          expect(changes.text).toContain(kind);
      }, 150_000);

      it('are the activated ones after a start, too, whatever the profile says of older ones', async () => {
        const rev = await approved('df.rules', otherRules);
        await did(operator, 'df.rules/activate', { revision: rev.revision, expected: await head('df.rules') });
        const group = groups.find((roles) => roles === 'all' || roles.split(',').includes('df')) ?? 'all';
        await door.kill(group);
        await door.start(group);
        operator = await door.client('ops');
        officer = new Http(operator.base, officer.key);
        expect((await decided()).rules.policy_rev).toEqual(rev);
        const changes = (await operator.get('/v1/changes?policy=df.rules')).body as {
          changes: { fact: { kind: string } }[];
        };
        const once = ['POLICY_ACTIVATED', 'POLICY_APPROVED', 'POLICY_PROPOSED'];
        const undone = ['POLICY_ROLLED_BACK', ...once];
        expect(changes.changes.map(({ fact }) => fact.kind)).toEqual([
          ...once,
          ...undone,
          ...undone,
          'POLICY_IN_FORCE',
        ]);
        if (groups.length === 1) expect((await shown('edge.producers')).state).toBe('AS_ACTIVATED');
      }, 90_000);
    }

    it('that somebody tampered with are named, and nothing takes their place', async () => {
      const { policy_rev: before } = await shown('df.rules');
      const rev = await approved('df.rules', otherRules);
      await tamper(rev);
      const answer = await operator.post(
        '/v1/policies/df.rules/activate',
        wish({ revision: rev.revision, expected: await head('df.rules') }),
      );
      expect(answer.body).toMatchObject({
        code: 'OPS_ARTIFACT_TAMPERED',
        detail: expect.stringContaining(rev.content_digest),
      });
      expect((await decided()).rules.policy_rev).toEqual(before);
    }, 60_000);
  });
}
