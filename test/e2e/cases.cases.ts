import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { Case } from '../../src/modules/case-workbench/case.schema.js';
import type { AsOf } from '../../src/modules/label-store/label-store.port.js';
import { edgeEventIdOf } from '../../src/modules/producer-edges/producer-edges.port.js';
import { runIdOf } from '../../src/modules/scenario-runner/scenario-runner.port.js';
import { cli } from '../support/cli.js';
import { Door, type Outside } from '../support/door.js';
import { eventually } from '../support/eventually.js';
import { Http } from '../support/http.js';

const RUN = runIdOf('live');
const DAY_MS = 86_400_000;

/** Somebody who works on cases and does not say what was found. */
const ANALYST: Outside = {
  env: {},
  introduce: (profile) => {
    const operator = '    - key_id: operator';
    const ann = `    - { key_id: ann, actor_id: 'HUMAN::ann', roles: [analyst] }\n`;
    profile.edit(profile.access, operator, `${ann}${operator}`);
    return [profile.access];
  },
};

/** From a payment that somebody has to look at to the label that says what was found, wherever the roles run. */
export function casesSuite(flavour: 'embedded' | 'real', groups: readonly string[]): void {
  describe(`cases, ${groups.length === 1 ? 'all roles in one process' : 'the workbench in a process of its own'}`, () => {
    const scratch = mkdtempSync(join(tmpdir(), 'probity-cases-'));
    let door: Door;
    let cases: Http;
    const large = edgeEventIdOf('payments-api', 'large');

    beforeAll(async () => {
      door = await Door.open(flavour, groups, flavour === 'embedded' ? ANALYST : undefined);
      cases = await door.client('cases');
      await door.request({
        run_equivalence_key: 'live',
        strategy: 'AUTO',
        world: { kind: 'live', scenario_id: 'live', traffic: [{ event_type: 'transaction', schema_version: 'v1' }] },
      } as never);
      await door.settled(RUN);
      await eventually(
        async () =>
          ((await (await door.client('dl')).get('/v1/posture')).body as { posture?: { mode: string } }).posture?.mode,
        (mode) => mode === 'NORMAL',
        90_000,
      );
      const now = Date.now();
      for (let n = 0; n < 8; n += 1) await paid(`small-${n}`, '10.00', now - (9 - n) * DAY_MS);
    }, 240_000);

    afterAll(async () => {
      await door.close();
      rmSync(scratch, { recursive: true, force: true });
    });

    const paid = async (id: string, amount: string, atMs: number): Promise<void> => {
      const payment = { transaction_id: id, occurred_at: new Date(atMs).toISOString(), amount, currency: 'EUR' };
      const { status, text } = await (
        await door.client('edge')
      ).post('/v1/transactions', { ...payment, card_id: 'card-7' });
      if (status >= 300) throw new Error(text);
    };
    const command = async (...words: readonly string[]) => {
      const key = join(scratch, 'key');
      writeFileSync(key, door.key());
      const url = await door.urlOf('cases');
      const { code, stdout, stderr } = await cli(['case', ...words, '--url', url, '--key-file', key, '--json']);
      return { code, stderr, answer: (stdout === '' ? {} : JSON.parse(stdout)) as Record<string, unknown> };
    };
    const caseNow = async (id: string): Promise<Case> =>
      ((await cases.get(`/v1/cases/${id}`)).body as { case: Case }).case;
    const known = async (): Promise<AsOf['answers'][number] | undefined> => {
      const { body } = await (
        await door.client('labels')
      ).post('/v1/labels/as-of', {
        run_id: RUN,
        targets: [{ kind: 'EVENT', event_id: large }],
        label_type: 'fraud_disposition',
        as_of_utc: new Date().toISOString().replace('Z', '000Z'),
      });
      return (body as AsOf).answers[0];
    };

    it('opens one for a payment that a rule sends to people', async () => {
      await paid('large', '2500.00', Date.now());
      const page = await eventually(
        async () => (await cases.get(`/v1/cases?run=${RUN}`)).body as { cases: Case[] },
        (body) => body.cases.length > 0,
        30_000,
      );
      expect(page.cases).toMatchObject([{ subject_event_id: large, status: 'NEW', queue: 'review', triggers: 1 }]);
      const decision = page.cases[0]?.evidence.find(({ kind }) => kind === 'DECISION');
      const { body } = await (await door.client('df')).get(`/v1/decisions/${decision?.id ?? ''}`);
      expect(body).toMatchObject({ decision: { outcome: 'QUEUE', source_event: { event_id: large } } });
    });

    it('lets a person work on it and say what was found, which is known as of then and not before', async () => {
      const [found] = ((await command('list', '--assignee', 'none')).answer as { cases: Case[] }).cases;
      if (found === undefined) throw new Error('no case');
      const id = found.case_id;
      expect(await command('assign', id, '--to', 'HUMAN::operator', '--seen', '1')).toMatchObject({ code: 0 });
      expect(await command('note', id, '--text', 'called the customer', '--seen', '1')).toMatchObject({
        code: 1,
        stderr: expect.stringContaining('CASE_GONE_ON') as unknown,
      });
      expect(await command('note', id, '--text', 'called the customer', '--key', 'call-1')).toMatchObject({ code: 0 });
      const before = new Date().toISOString().replace('Z', '000Z');
      expect(await known()).toEqual({ state: 'UNKNOWN' });
      const decide = ['decide', id, '--found', 'FRAUD', '--reason', 'card was stolen', '--key', 'finding-1'];
      expect(await command(...decide)).toMatchObject({ code: 0, answer: { outcome: 'NEW' } });
      expect(await command(...decide)).toMatchObject({ code: 0, answer: { outcome: 'DUPLICATE' } });
      const resolved = await eventually(
        async () => await caseNow(id),
        ({ status }) => status === 'RESOLVED',
        30_000,
      );
      const answer = await known();
      expect(answer).toMatchObject({
        state: 'LABEL',
        label: {
          label_id: resolved.label.label_id,
          label_value: 'FRAUD_CONFIRMED',
          source: {
            type: 'HUMAN',
            namespace: 'cases',
            actor: { actor_id: 'HUMAN::operator', source_type: 'HUMAN' },
            via: 'SYSTEM::cases',
          },
        },
      });
      const then = await (
        await door.client('labels')
      ).post('/v1/labels/as-of', {
        run_id: RUN,
        targets: [{ kind: 'EVENT', event_id: large }],
        label_type: 'fraud_disposition',
        as_of_utc: before,
      });
      expect(then.body).toMatchObject({ answers: [{ state: 'UNKNOWN' }] });
    });

    it('closes, comes back, and takes a finding back', async () => {
      const [found] = ((await command('list', '--assignee', 'me')).answer as { cases: Case[] }).cases;
      const id = found?.case_id ?? '';
      expect(await command('close', id, '--reason', 'done')).toMatchObject({
        code: 0,
        answer: { case: { status: 'CLOSED' } },
      });
      expect(await command('decide', id, '--found', 'LEGITIMATE', '--reason', 'x')).toMatchObject({ code: 1 });
      const opened = await command('open', '--event', large, '--reason', 'customer wrote', '--key', 'mail-1');
      expect(opened).toMatchObject({ code: 0, answer: { case: { case_id: id, status: 'IN_PROGRESS', triggers: 2 } } });
      await command('decide', id, '--found', 'INCONCLUSIVE', '--reason', 'cannot be told');
      await eventually(
        async () => (await known())?.state,
        (state) => state === 'UNKNOWN',
        30_000,
      );
      await eventually(
        async () => (await caseNow(id)).status,
        (status) => status === 'RESOLVED',
        30_000,
      );
      const { answer } = await command('show', id);
      expect((answer as { timeline: { type: string }[] }).timeline.map(({ type }) => type)).toEqual([
        ...['CASE_TRIGGERED', 'ASSIGNED', 'NOTE_ADDED', 'DISPOSITION_SET', 'LABEL_SUBMITTED', 'LABEL_ACCEPTED'],
        ...['CASE_CLOSED', 'CASE_TRIGGERED', 'DISPOSITION_SET', 'LABEL_SUBMITTED', 'LABEL_ACCEPTED'],
      ]);
      const changes = (await cases.get('/v1/cases/changes?limit=3')).body as { changes: object[]; cursor: string };
      expect(changes.changes).toHaveLength(3);
      const more = (await cases.get(`/v1/cases/changes?cursor=${changes.cursor}`)).body as { changes: object[] };
      expect(more.changes).toHaveLength(8);
      expect((await cases.get('/v1/cases/counts')).body).toMatchObject({
        counts: [{ queue: 'review', status: 'RESOLVED', cases: 1 }],
      });
    });

    it('has something done about the payment, once, as the case tells, and ledger and bus agree on it', async () => {
      const [found] = ((await command('list')).answer as { cases: Case[] }).cases;
      const id = found?.case_id ?? '';
      const act = ['act', id, '--action', 'RELEASE', '--reason', 'spoke to her', '--key', 'release-1'];
      expect(await command(...act)).toMatchObject({ code: 0, answer: { outcome: 'NEW' } });
      expect(await command(...act)).toMatchObject({ code: 0, answer: { outcome: 'DUPLICATE' } });
      const done = await eventually(
        async () => await caseNow(id),
        ({ actions }) => actions.some(({ state }) => state === 'EXECUTED'),
        30_000,
      );
      expect(done.actions).toMatchObject([{ action: 'RELEASE', state: 'EXECUTED' }]);
      const { body } = await (await door.client('al')).get('/v1/dispositions/large');
      expect(body).toMatchObject({
        dispositions: [{ outcome: 'APPROVE', reason_codes: ['CASE_REVIEW'] }, { outcome: 'QUEUE' }],
      });
      const { custody } = await door.reconciled(RUN);
      expect(custody).toMatchObject({ intents_unplanned: { count: 0 }, intents_open: { count: 0 } });
      expect(await command('act', id, '--action', 'BURN', '--reason', 'x')).toMatchObject({
        code: 1,
        stderr: expect.stringContaining('CASE_ACTION_UNKNOWN') as unknown,
      });
      await command('decide', id, id, '--found', 'INCONCLUSIVE', '--reason', 'still cannot be told');
    });

    it('shows what stands around it, gives its evidence as an act, and writes a file of cases', async () => {
      const [found] = ((await command('list')).answer as { cases: Case[] }).cases;
      const path = `/v1/cases/${found?.case_id ?? ''}`;
      const around = await eventually(
        async () => (await cases.get(`${path}/neighbours`)).body as { state: string; graph: { status: string } },
        ({ state }) => state === 'READ',
        30_000,
      );
      expect(around).toMatchObject({ graph: { status: 'SERVED' }, own: [{ type: 'card', id: 'card-7', cases: [] }] });
      expect((await cases.get(`${path}/similar`)).body).toEqual({ state: 'READ', similar: [] });
      const event = 1 + (found?.evidence.findIndex(({ kind }) => kind === 'EVENT') ?? 0);
      expect((await cases.get(`${path}/evidence/${event}`)).status).toBe(400);
      const read = await cases.get(`${path}/evidence/${event}?purpose=complaint`);
      expect(read).toMatchObject({ status: 200, body: { event_id: large, payload: { transaction_id: 'large' } } });
      expect((await cases.get(`${path}/evidence/99?purpose=complaint`)).status).toBe(404);
      expect((await cases.get(`${path}/evidence-reads`)).body).toMatchObject({
        reads: [
          { place: 99, outcome: 'REFUSED', code: 'CASE_EVIDENCE_UNKNOWN' },
          { place: event, outcome: 'GIVEN', actor_id: 'HUMAN::operator', purpose: 'complaint' },
        ],
      });
      const out = join(scratch, 'cases.ndjson');
      const exporting = ['export', '--out', out, '--purpose', 'yearly review', '--run', RUN];
      expect(await command(...exporting)).toMatchObject({ code: 0 });
      const lines = readFileSync(out, 'utf8').split('\n').filter(Boolean);
      expect(lines.map((line) => (JSON.parse(line) as { case: Case }).case)).toEqual([
        await caseNow(found?.case_id ?? ''),
      ]);
      expect(await command(...exporting)).toMatchObject({ code: 2 });
      expect((await cases.get('/v1/cases/exports')).body).toMatchObject({
        exports: [{ outcome: 'GIVEN', format: 'ndjson' }],
      });
    });

    it('lets an analyst work, and refuses the finding of one who may not say what was found', async () => {
      if (!door.embedded) return;
      const [found] = ((await command('list')).answer as { cases: Case[] }).cases;
      const path = `/v1/cases/${found?.case_id ?? ''}`;
      const key = readFileSync(join(door.data, 'keys', 'ann.key'), 'utf8').trim();
      const ann = new Http(await door.urlOf('cases'), key);
      const note = { command: { type: 'NOTE', text: 'seen' }, idempotency_key: 'ann-1' };
      expect(await ann.post(`${path}/commands`, note)).toMatchObject({ status: 200, body: { outcome: 'NEW' } });
      const finding = { disposition: 'FRAUD', reason: 'so it seems', idempotency_key: 'ann-2' };
      expect(await ann.post(`${path}/dispositions`, finding)).toMatchObject({
        status: 403,
        body: { code: 'AUTHZ_DENIED' },
      });
      const acts = { action: 'RELEASE', reason: 'so it seems', idempotency_key: 'ann-4' };
      expect(await ann.post(`${path}/actions`, acts)).toMatchObject({ status: 403 });
      const many = { ...finding, cases: [{ case_id: found?.case_id }] };
      expect(await ann.post('/v1/cases/dispositions', many)).toMatchObject({ status: 403 });
      expect((await ann.get(`${path}/evidence/1?purpose=look`)).status).toBe(403);
      expect((await ann.get('/v1/cases/export?purpose=look')).status).toBe(403);
      expect((await ann.get('/v1/cases/exports')).body).toMatchObject({
        exports: [{ actor_id: 'HUMAN::ann', outcome: 'REFUSED' }, {}],
      });
      expect((await ann.get(`${path}/evidence-reads`)).body).toMatchObject({
        reads: [{ actor_id: 'HUMAN::ann', code: 'AUTHZ_DENIED' }, {}, {}],
      });
      const smuggled = {
        command: { type: 'SET_DISPOSITION', disposition: 'FRAUD', reason: 'x' },
        idempotency_key: 'a-3',
      };
      expect(await ann.post(`${path}/commands`, smuggled)).toMatchObject({ status: 400 });
      expect((await caseNow(found?.case_id ?? '')).disposition?.value).toBe('INCONCLUSIVE');
    });

    it('lets nobody in without a key, and says what is wrong with a wish', async () => {
      const nobody = new Http(await door.urlOf('cases'));
      expect((await nobody.get('/v1/cases')).status).toBe(403);
      expect((await nobody.post('/v1/cases', {})).status).toBe(403);
      expect(await cases.get(`/v1/cases/${'f'.repeat(64)}`)).toMatchObject({
        status: 404,
        body: { code: 'CASE_NOT_FOUND' },
      });
      const open = { run_id: RUN, event_id: 'nothing', reason: 'x', idempotency_key: 'k' };
      expect(await cases.post('/v1/cases', open)).toMatchObject({
        status: 409,
        body: { code: 'CASE_EVENT_UNKNOWN', retryable: true },
      });
      expect(await cases.post('/v1/cases', { ...open, more: 1 })).toMatchObject({
        status: 400,
        body: { code: 'HTTP_REQUEST_INVALID' },
      });
    });
  });
}
