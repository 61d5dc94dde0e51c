import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { AsOf } from '../../src/modules/label-store/label-store.port.js';
import type { Receipt } from '../../src/modules/ingestion-gate/ingestion-gate.port.js';
import { edgeEventIdOf } from '../../src/modules/producer-edges/producer-edges.port.js';
import { runIdOf } from '../../src/modules/scenario-runner/scenario-runner.port.js';
import { webhookHeaders } from '../../src/substrate/signing/standard-webhooks.js';
import { SIGNING } from '../contract/actions-layer.kit.js';
import { cli } from '../support/cli.js';
import { Door, type Outside } from '../support/door.js';
import { eventually } from '../support/eventually.js';
import { Http } from '../support/http.js';

const RUN = runIdOf('live');
const KEY = Buffer.from(SIGNING.slice('whsec_'.length), 'base64');
const MAPPING = `
target: { transaction_id: payment }
handle: chargeback_id
label_type: chargeback_status
label_value: { from: status, values: { won: NO_CHARGEBACK, lost: CHARGEBACK, open: PENDING } }
effective: { from: day, format: date }
reported: { from: told_at, format: iso }
`;

/** A card network that reports frauds. */
const NETWORK: Outside = {
  env: { PROBITY_TEST_FEED_SECRET: SIGNING },
  introduce: (profile) => {
    const file = join(profile.folder, 'policy', 'labels.store.yaml');
    const writer = {
      namespace: 'network',
      principals: ['SYSTEM::feed.network'],
      source_type: 'EXTERNAL',
      label_types: ['fraud_disposition'],
      target_kinds: ['EVENT'],
      may_supersede: 'own',
    };
    const feed = {
      feed_id: 'network',
      namespace: 'network',
      run_equivalence_key: 'live',
      secret: { env: 'PROBITY_TEST_FEED_SECRET' },
      tolerance_s: 300,
      mapping: {
        target: { transaction_id: '/payment/reference' },
        handle: '/report/id',
        label_type: 'fraud_disposition',
        label_value: { constant: 'FRAUD_CONFIRMED' },
      },
    };
    profile.edit(file, '  writers:\n', `  writers:\n    - ${JSON.stringify(writer)}\n`);
    profile.edit(file, 'feeds: []', `feeds: [${JSON.stringify(feed)}]`);
    return [file];
  },
};

/** Labels as people, files and systems of others bring them, wherever the roles run. */
export function labelsSuite(flavour: 'embedded' | 'real', groups: readonly string[]): void {
  describe(`labels, ${groups.length === 1 ? 'all roles in one process' : 'each role in a process of its own'}`, () => {
    const scratch = mkdtempSync(join(tmpdir(), 'probity-labels-'));
    let door: Door;
    let labels: Http;
    const ids = ['p-1', 'p-2', 'p-3', 'p-4'].map((id) => [id, edgeEventIdOf('payments-api', id)] as const);
    const [one = '', two = '', three = '', four = ''] = ids.map(([, eventId]) => eventId);

    beforeAll(async () => {
      door = await Door.open(flavour, groups, NETWORK);
      labels = await door.client('labels');
      await door.request({
        run_equivalence_key: 'live',
        strategy: 'AUTO',
        world: {
          kind: 'live',
          scenario_id: 'live',
          traffic: [{ event_type: 'transaction', schema_version: 'v1' }],
        },
      } as never);
      await door.settled(RUN);
      for (const [id] of ids) await paid(id, Date.now());
      await eventually(
        async () => (await labels.get(`/v1/runs/${RUN}/labels`)).status,
        (status) => status === 200,
        30_000,
      );
    }, 180_000);

    afterAll(async () => {
      await door.close();
      rmSync(scratch, { recursive: true, force: true });
    });

    const paid = async (id: string, atMs: number): Promise<Receipt> => {
      const payment = {
        transaction_id: id,
        occurred_at: new Date(atMs).toISOString(),
        amount: '10.00',
        currency: 'EUR',
        card_id: 'card-1',
        device_id: 'device-1',
      };
      const { body, status, text } = await (await door.client('edge')).post('/v1/transactions', payment);
      if (status >= 300) throw new Error(text);
      return body as Receipt;
    };
    const command = async (...words: readonly string[]) => {
      const key = join(scratch, 'key');
      writeFileSync(key, door.key());
      const url = await door.urlOf('labels');
      const { code, stdout, stderr } = await cli(['label', ...words, '--url', url, '--key-file', key, '--json']);
      return { code, stderr, answer: (stdout === '' ? {} : JSON.parse(stdout)) as Record<string, unknown> };
    };
    const knownOf = async (eventId: string, type: string, rule?: string): Promise<AsOf['answers'][number]> => {
      const { status, body, text } = await labels.post('/v1/labels/as-of', {
        run_id: RUN,
        targets: [{ kind: 'EVENT', event_id: eventId }],
        label_type: type,
        as_of_utc: new Date().toISOString().replace('Z', '000Z'),
        ...(rule === undefined ? {} : { rule_id: rule }),
      });
      if (status !== 200) throw new Error(text);
      const [answer] = (body as AsOf).answers;
      if (answer === undefined) throw new Error('no answer');
      return answer;
    };

    it('imports a file of chargebacks by the ids of payments, names the rows that it cannot, and a second time adds nothing', async () => {
      const [file, map] = [join(scratch, 'chargebacks.csv'), join(scratch, 'mapping.yaml')];
      const rows = [
        'payment,chargeback_id,status,day,told_at',
        'p-1,cb-1,lost,2026-02-01,2026-02-09T10:00:00Z',
        'p-2,cb-2,won,2026-02-01,2026-02-09T10:00:00Z',
        'p-9,cb-3,lost,2026-02-01,2026-02-09T10:00:00Z',
        'p-3,cb-4,perhaps,2026-02-01,2026-02-09T10:00:00Z',
      ];
      writeFileSync(file, `${rows.join('\n')}\n`);
      writeFileSync(map, MAPPING);
      const dry = await command('import', file, '--map', map, '--dry-run');
      expect([dry.code, dry.answer]).toMatchObject([1, { rows: 4, faulty: 1 }]);
      expect(await labels.get(`/v1/labels?run=${RUN}`)).toMatchObject({ body: { labels: [] } });
      const first = await command('import', file, '--map', map);
      expect([first.code, first.answer]).toMatchObject([
        1,
        {
          rows: 4,
          accepted: 2,
          duplicate: 0,
          refused: 2,
          refused_rows: [
            { row: 3, code: 'LBL_TARGET_UNKNOWN' },
            { row: 4, code: 'LBL_ASSERTION_INVALID' },
          ],
        },
      ]);
      const again = await command('import', file, '--map', map);
      expect(again.answer).toMatchObject({ accepted: 0, duplicate: 2, refused: 2 });
      expect(await knownOf(one, 'chargeback_status')).toMatchObject({
        state: 'LABEL',
        label: {
          label_value: 'CHARGEBACK',
          effective_at_utc: '2026-02-01T00:00:00.000000Z',
          reported_at_utc: '2026-02-09T10:00:00.000000Z',
          source: { type: 'EXTERNAL', namespace: 'chargebacks', actor: { actor_id: 'HUMAN::operator' } },
        },
      });
      expect(await knownOf(two, 'chargeback_status')).toMatchObject({ label: { label_value: 'NO_CHARGEBACK' } });
    });

    it('takes what an analyst says, and shows it to the features of the next payment', async () => {
      const add = ['add', '--type', 'fraud_disposition', '--handle', 'case-7'];
      const added = await command(...add, '--transaction', 'p-2', '--value', 'FRAUD_CONFIRMED');
      expect([added.code, added.answer]).toMatchObject([0, { result: { outcome: 'ACCEPTED', event_id: two } }]);
      const other = await command(...add, '--event', two, '--value', 'LEGIT_CONFIRMED');
      expect([other.code, other.answer]).toMatchObject([1, { result: { code: 'LBL_IDEMPOTENCY_KEY_CONFLICT' } }]);
      const ofp = await door.client('ofp');
      const { pins } = (await (await door.client('sr')).get(`/v1/runs/${RUN}`)).body as { pins: object };
      const frauds = async (id: string): Promise<unknown> => {
        const atMs = Date.now();
        const { eb_ref } = await paid(id, atMs);
        const payload = {
          transaction_id: id,
          amount_minor: 1_000,
          currency: 'EUR',
          card_id: 'card-1',
          device_id: 'device-1',
        };
        const place = { event_id: edgeEventIdOf('payments-api', id), event_type: 'transaction', payload };
        const ts_utc = `${new Date(atMs).toISOString().slice(0, -1)}000Z`;
        const trigger = { ...place, ts_utc, partition: eb_ref?.partition, offset: eb_ref?.offset };
        const asked = { pins, triggers: [trigger], groups: ['core_device'], wait_ms: 10_000 };
        const { body, text } = await ofp.post('/v1/features/snapshots', asked);
        const { results } = body as { results?: { snapshot?: { groups: { features: Record<string, unknown> }[] } }[] };
        if (results === undefined) throw new Error(text);
        return JSON.stringify(results).match(/"device_fraud_count_30d":"?(\d+|null)/)?.[1];
      };
      let n = 0;
      expect(
        await eventually(
          async () => await frauds(`next-${(n += 1)}`),
          (count) => count === '1',
          30_000,
        ),
      ).toBe('1');
      const label = (added.answer['result'] as { label_id: string }).label_id;
      const back = await command(
        'add',
        '--type',
        'fraud_disposition',
        '--handle',
        'case-7-error',
        '--event',
        two,
        '--value',
        'WITHDRAWN',
        '--supersedes',
        label,
      );
      expect(back.code).toBe(0);
      expect(
        await eventually(
          async () => await frauds(`next-${(n += 1)}`),
          (count) => count === '0',
          30_000,
        ),
      ).toBe('0');
      expect(await knownOf(two, 'fraud_disposition')).toEqual({ state: 'UNKNOWN' });
    });

    it('believes a feed for its signature, once per report', async () => {
      const nobody = new Http(await door.urlOf('labels'));
      const body = JSON.stringify([{ payment: { reference: 'p-3' }, report: { id: 'r-1' } }]);
      const seconds = Math.floor(Date.now() / 1_000);
      const headers = webhookHeaders('msg_1', seconds, body, KEY);
      const send = async (sent: string, by: Readonly<Record<string, string>>) =>
        await nobody.raw('/v1/labels/feeds/network', sent, 'application/json', by);
      expect(await send(body.replace('p-3', 'p-4'), headers)).toMatchObject({
        status: 401,
        body: { code: 'LBL_FEED_SIGNATURE_INVALID' },
      });
      expect(await send(body, {})).toMatchObject({ status: 401 });
      const old = webhookHeaders('msg_1', seconds - 3_600, body, KEY);
      expect(await send(body, old)).toMatchObject({ status: 401 });
      expect(await knownOf(three, 'fraud_disposition')).toEqual({ state: 'UNKNOWN' });
      expect(await send(body, headers)).toMatchObject({ status: 200, body: { results: [{ outcome: 'ACCEPTED' }] } });
      expect(await send(body, headers)).toMatchObject({ status: 200, body: { results: [{ outcome: 'DUPLICATE' }] } });
      expect(await knownOf(three, 'fraud_disposition')).toMatchObject({
        label: {
          source: { namespace: 'network', actor: { actor_id: 'SYSTEM::feed.network', auth_mode: 'SIGNATURE' } },
        },
      });
      const unknown = JSON.stringify({ payment: { reference: 'p-77' }, report: { id: 'r-2' } });
      expect(await send(unknown, webhookHeaders('msg_2', seconds, unknown, KEY))).toMatchObject({
        status: 409,
        body: { code: 'LBL_TARGET_UNKNOWN', retryable: true },
      });
      expect(await nobody.raw('/v1/labels/feeds/nobody', body)).toMatchObject({
        status: 404,
        body: { code: 'LBL_FEED_UNKNOWN' },
      });
    });

    it('shows a conflict as one, and both sides of it under a rule that decides', async () => {
      const body = JSON.stringify({ payment: { reference: 'p-4' }, report: { id: 'r-4' } });
      const headers = webhookHeaders('msg_4', Math.floor(Date.now() / 1_000), body, KEY);
      const network = new Http(await door.urlOf('labels'));
      expect(await network.raw('/v1/labels/feeds/network', body, 'application/json', headers)).toMatchObject({
        status: 200,
      });
      const add = ['add', '--type', 'fraud_disposition', '--handle', 'case-4', '--event', four];
      expect(await command(...add, '--value', 'LEGIT_CONFIRMED')).toMatchObject({ code: 0 });
      expect(await knownOf(four, 'fraud_disposition')).toMatchObject({
        state: 'CONFLICT',
        candidates: [{ label_value: 'LEGIT_CONFIRMED' }, { label_value: 'FRAUD_CONFIRMED' }],
      });
      expect(await knownOf(four, 'fraud_disposition', 'human_first')).toMatchObject({
        state: 'LABEL',
        label: { label_value: 'LEGIT_CONFIRMED' },
        losers: [{ label_value: 'FRAUD_CONFIRMED' }],
      });
      const known = await command('known', '--event', four, '--as-of', new Date().toISOString());
      expect(known.answer).toMatchObject({ answers: [{ state: 'CONFLICT' }] });
    });

    it('lists the ledger page by page, and lets nobody in without a key', async () => {
      const seen: number[] = [];
      let cursor: string | undefined;
      do {
        const page = await command('list', '--limit', '2', ...(cursor === undefined ? [] : ['--cursor', cursor]));
        const { labels: rows, next_cursor } = page.answer as { labels: { seq: number }[]; next_cursor?: string };
        seen.push(...rows.map(({ seq }) => seq));
        cursor = next_cursor;
      } while (cursor !== undefined);
      expect(seen).toEqual(seen.map((_, index) => index + 1));
      expect(seen).toHaveLength(7);
      const nobody = new Http(await door.urlOf('labels'));
      expect((await nobody.get('/v1/labels')).status).toBe(403);
      expect((await nobody.post('/v1/labels', { labels: [{}] })).status).toBe(403);
      const missing = await labels.post('/v1/labels/as-of', { run_id: RUN });
      expect(missing).toMatchObject({ status: 400, body: { code: 'LBL_MISSING_AS_OF' } });
    });
  });
}
