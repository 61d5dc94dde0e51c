import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { createHash } from 'node:crypto';
import { digestText } from '../../rails/digest.js';
import { Comparer, type SideRow, SortedRows } from './reconciliation.core.js';

const row = (number: number, content = number, eventType = 'transaction'): SideRow => ({
  eventId: `e${number}`,
  eventType,
  payloadHash: digestText(`payload ${content}`),
  contentDigest: digestText(`content ${content}`),
});
const byId = (a: SideRow, b: SideRow) => (a.eventId < b.eventId ? -1 : a.eventId > b.eventId ? 1 : 0);

function compare(ledger: readonly SideRow[], bus: readonly SideRow[]) {
  const rows = new SortedRows();
  bus.forEach((each) => rows.add(each));
  const comparer = new Comparer(rows.rows(), (eventType) => eventType !== 'decision');
  const sorted = [...ledger].sort(byId);
  for (let at = 0; at < sorted.length; at += 7) comparer.ledger(sorted.slice(at, at + 7));
  return comparer.finish();
}

describe('comparing ledger and bus', () => {
  it('finds every difference, whatever the order', () => {
    fc.assert(
      fc.property(
        fc.uniqueArray(fc.nat(60)),
        fc.array(fc.tuple(fc.nat(60), fc.boolean()), { maxLength: 90 }),
        (ledgerIds, busIds) => {
          const bus = busIds.map(([number, changed]) => row(number, changed ? number + 1_000 : number));
          const found = compare(
            ledgerIds.map((number) => row(number)),
            bus,
          );
          const onBus = new Map<string, number>();
          bus.forEach(({ eventId }) => onBus.set(eventId, (onBus.get(eventId) ?? 0) + 1));
          const inLedger = new Set(ledgerIds.map((number) => `e${number}`));
          expect(found.admitted).toBe(ledgerIds.length);
          expect(found.onBus).toBe(bus.length);
          expect([...found.missingOnBus].sort()).toEqual([...inLedger].filter((id) => !onBus.has(id)).sort());
          expect([...found.notInLedger].sort()).toEqual([...onBus.keys()].filter((id) => !inLedger.has(id)).sort());
          const doubled = [...onBus].flatMap(([id, count]) => (count > 1 ? [id] : []));
          expect([...found.moreThanOnce].sort()).toEqual(doubled.sort());
          const clean =
            found.missingOnBus.length + found.notInLedger.length + found.moreThanOnce.length === 0 &&
            found.otherContent.length === 0;
          expect(found.reconciled).toBe(clean);
        },
      ),
    );
  });

  it('counts what follows from traffic apart, compares it all the same, and leaves it out of the digest of the set', () => {
    const traffic = [row(1), row(2)];
    const alone = compare(traffic, traffic);
    const both = [...traffic, row(3, 3, 'decision')];
    const found = compare(both, both);
    expect(found).toMatchObject({ admitted: 2, onBus: 2, setDigest: alone.setDigest, reconciled: true });
    expect(found.byType).toEqual({ decision: { admitted: 1, onBus: 1 }, transaction: { admitted: 2, onBus: 2 } });
    expect(compare(both, traffic)).toMatchObject({ admitted: 2, onBus: 2, missingOnBus: ['e3'], reconciled: false });
  });

  it('tells another content under the same id', () => {
    const found = compare([row(1), row(2)], [row(2, 5), row(1)]);
    expect(found).toMatchObject({ otherContent: ['e2'], reconciled: false });
  });

  it('gives the set one digest, over more pieces than one, and tells at most a hundred of each kind', () => {
    const all = Array.from({ length: 40_000 }, (_, number) => row(number));
    const lines = [...all].sort(byId).map(({ eventId, payloadHash }) => `${eventId} ${payloadHash}\n`);
    const digest = createHash('sha256').update(lines.join('')).digest('hex');
    expect(compare(all, [...all].reverse())).toMatchObject({ setDigest: digest, reconciled: true, onBus: 40_000 });
    const found = compare([], all);
    expect(found.notInLedger).toHaveLength(100);
    expect(found.reconciled).toBe(false);
  });
});
