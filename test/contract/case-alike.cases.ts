import { beforeEach, describe, expect, it } from '@jest/globals';
import { subjectOf } from '../../src/modules/case-workbench/case.core.js';
import { digestText } from '../../src/rails/digest.js';
import type { Database } from '../../src/substrate/database/database.port.js';
import { CaseRig } from './case-workbench.rig.js';

/** Cases alike, and what hangs together with one. */
export function caseAlikeSuite(open: () => Database): void {
  describe('a case among others', () => {
    let rig: CaseRig;
    let run = 4_000;

    beforeEach(() => {
      rig = new CaseRig(open(), (run += 1));
    });

    const idOf = (event: string, of = rig): string => subjectOf(of.pins, event).case_id;
    /** Cases of these payments, with what they name. */
    const opens = async (payments: Readonly<Record<string, object>>, of = rig): Promise<void> => {
      const decisions = Object.entries(payments).map(
        ([event, { reasons = [], ...payment }]: [string, { reasons?: readonly string[] }]) =>
          of.decides(event, 'QUEUE', { card_id: undefined, ...payment }, { reason_codes: reasons }),
      );
      await of.unit.consumer.take(of.batchOf(0, ...decisions));
    };
    const marked = async (of = rig): Promise<void> => {
      while ((await of.unit.marks.mark()) > 0);
    };

    it('is told those that share most, what it is that they share, and none that shares nothing', async () => {
      await opens({
        me: { card_id: 'c1', device_id: 'd1', merchant_id: 'm1', reasons: ['CARD_VELOCITY_1H'] },
        twin: { card_id: 'c1', device_id: 'd1', merchant_id: 'm1' },
        card: { card_id: 'c1' },
        shop: { card_id: 'c9', merchant_id: 'm1', reasons: ['CARD_VELOCITY_1H'] },
        other: { card_id: 'c8', device_id: 'c1', merchant_id: 'm2', reasons: ['AMOUNT_HIGH'] },
      });
      const asked = async (limit = 10) => await rig.unit.around.similar(idOf('me'), limit);
      expect(await asked()).toEqual({ state: 'PENDING', similar: [] });
      await marked();
      const { state, similar } = await asked();
      expect(state).toBe('READ');
      expect(similar.map((one) => [one.case.subject_event_id, one.score])).toEqual([
        ['twin', 165],
        ['card', 100],
        ['shop', 8],
      ]);
      expect(similar[0]?.shared).toEqual([
        { kind: 'card', value: 'c1' },
        { kind: 'device', value: 'd1' },
        { kind: 'merchant', value: 'm1' },
      ]);
      expect(similar[2]?.shared).toEqual([
        { kind: 'merchant', value: 'm1' },
        { kind: 'reason', value: 'CARD_VELOCITY_1H' },
      ]);
      expect((await asked(1)).similar).toHaveLength(1);
      await expect(rig.unit.around.similar(digestText('none'), 10)).rejects.toMatchObject({ code: 'CASE_NOT_FOUND' });
    });

    it('has nothing to do with another run, whatever both name', async () => {
      const other = new CaseRig(open(), rig.run + 500);
      await opens({ me: { card_id: 'c1' } });
      await opens({ me: { card_id: 'c1' } }, other);
      await marked(other);
      await rig.database.query(`update cases set marks_state = 'PENDING' where case_id = $1`, [idOf('me')]);
      await marked();
      expect(await rig.unit.around.similar(idOf('me'), 10)).toEqual({ state: 'READ', similar: [] });
      expect((await other.unit.around.similar(idOf('me', other), 10)).state).toBe('READ');
    });

    it('is read again when another trigger came, and says so where its records are gone', async () => {
      await rig.opened('open', 'late');
      await marked();
      expect(await rig.unit.around.similar(idOf('late'), 10)).toMatchObject({ state: 'ABSENT' });
      await opens({ late: { card_id: 'c1' }, mate: { card_id: 'c1' } });
      expect(await rig.unit.around.similar(idOf('late'), 10)).toMatchObject({ state: 'PENDING' });
      await marked();
      expect(await rig.unit.around.similar(idOf('late'), 10)).toMatchObject({
        state: 'READ',
        similar: [{ score: 100 }],
      });
    });

    it('looks at the youngest alone of many that share a shop', async () => {
      const many = Object.fromEntries(Array.from({ length: 210 }, (_, n) => [`s-${n}`, { merchant_id: 'hub' }]));
      await opens(many);
      await opens({ me: { merchant_id: 'hub' } });
      await marked();
      const { similar } = await rig.unit.around.similar(idOf('me'), 1_000);
      expect(similar).toHaveLength(200);
      expect(similar[0]?.case.subject_event_id).toBe('s-209');
    });

    it('is told its neighbours in the graph, through what they are, and which cases those have', async () => {
      await opens({ me: { card_id: 'c1', device_id: 'd1' }, mate: { card_id: 'c2' }, own: { card_id: 'c1' } });
      await marked();
      const asked: object[] = [];
      const seen = (type: string, id: string, events: number) => ({
        type,
        id,
        events,
        last_seen: '2026-01-01T00:00:00.000000Z',
      });
      rig.graph.neighbours = (request) => {
        asked.push(request);
        const card = { neighbours: [seen('device', 'd1', 3), seen('contact', 'm1', 1)], more: false };
        const device = {
          neighbours: [seen('card', 'c1', 3), seen('card', 'c2', 2), seen('contact', 'm1', 1)],
          more: false,
        };
        return Promise.resolve({ results: [card, device], graph_version: {}, integrity: 'CLEAN' });
      };
      const around = await rig.unit.around.around(idOf('me'));
      expect(asked).toMatchObject([
        {
          pins: rig.pins,
          identifiers: [
            { type: 'card', id: 'c1' },
            { type: 'device', id: 'd1' },
          ],
        },
      ]);
      expect(around).toMatchObject({
        state: 'READ',
        graph: { status: 'SERVED', more: false },
        own: [
          {
            type: 'card',
            id: 'c1',
            cases: [{ case_id: idOf('own'), subject_event_id: 'own', status: 'NEW', disposition: null }],
          },
          { type: 'device', id: 'd1', cases: [] },
        ],
        neighbours: [
          { type: 'contact', id: 'm1', events: 2, through: [{ type: 'card' }, { type: 'device' }], cases: [] },
          { type: 'card', id: 'c2', events: 2, through: [{ id: 'd1' }], cases: [{ case_id: idOf('mate') }] },
        ],
      });
    });

    it('says by which code the graph cannot be asked, and works all the same', async () => {
      await opens({ me: { card_id: 'c1' }, own: { card_id: 'c1' } });
      expect(await rig.unit.around.around(idOf('me'))).toMatchObject({
        state: 'PENDING',
        graph: { status: 'NOT_ASKED' },
      });
      await marked();
      expect(await rig.unit.around.around(idOf('me'))).toMatchObject({
        graph: { status: 'UNAVAILABLE', code: 'RPC_UNAVAILABLE' },
        own: [{ id: 'c1', cases: [{ case_id: idOf('own') }] }],
        neighbours: [],
      });
      const [row] = await rig.unit.store.list({ limit: 1, runId: rig.pins.run_id });
      if (row === undefined) throw new Error('no case');
      expect(await rig.does(row.value, { type: 'NOTE', text: 'the graph is away' }, 'n')).toMatchObject({
        outcome: 'NEW',
      });
    });
  });
}
