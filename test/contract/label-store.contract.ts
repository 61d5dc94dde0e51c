import { beforeEach, describe, expect, it } from '@jest/globals';
import { randomUUID } from 'node:crypto';
import fc from 'fast-check';
import { eventIdOf as sealedEventIdOf } from '../../src/modules/data-engine/data-engine.port.js';
import { LedgerStore } from '../../src/modules/label-store/ledger.store.js';
import type { Slice, SliceRow } from '../../src/modules/label-store/label-store.port.js';
import { edgeEventIdOf } from '../../src/modules/producer-edges/producer-edges.port.js';
import { asTopicName } from '../../src/rails/eb-ref.js';
import { type Label, LabelSchema } from '../../src/rails/events/label.schema.js';
import { readEvent } from '../../src/rails/events/read-event.js';
import type { RunPins } from '../../src/rails/pins.js';
import { objectKey, type Ref } from '../../src/rails/ref.js';
import { fromEpochMicros, fromEpochMs, toEpochMicros, type UtcMicros } from '../../src/rails/time.js';
import { validatorOf } from '../../src/rails/validator.js';
import { ManualClock } from '../../src/substrate/clock/manual.clock.js';
import { recordsOf } from '../support/single-pass.js';
import { AdmittedEvents, ANALYST, BANK, type LabelGround, openLabels, pinsOf, WORKBENCH } from './label-store.kit.js';

const CONTROL = asTopicName('fp.bus.control.v1');
const START_MS = Date.parse('2026-03-01T00:00:00Z');
const PAID_AT = fromEpochMs(START_MS - 86_400_000);

/** Answers with what the ledger holds and settles nothing: the next label may still be observed at the time that was asked for. */
class UnsettledLedger extends LedgerStore {
  override async settle(): Promise<number> {
    return await this.head();
  }
}

/** Loses the second of what it is given, and answers that it stands. */
class LosingLedger extends LedgerStore {
  override async append(...given: Parameters<LedgerStore['append']>): ReturnType<LedgerStore['append']> {
    const [transaction, entries, now] = given;
    const appended = await super.append(transaction, entries.toSpliced(1, 1), now);
    const [first] = appended;
    if (first?.outcome !== 'ACCEPTED') return appended;
    return appended.toSpliced(1, 0, { ...first, seq: first.seq + 1_000_000 });
  }
}

/** The label store over a database, a bus and an object store. */
export function labelStoreSuite(ground: () => LabelGround): void {
  let run = 0;
  let pins: RunPins;
  let clock: ManualClock;
  let events: AdmittedEvents;
  let labels: ReturnType<typeof openLabels>;

  beforeEach(async () => {
    run += 1;
    pins = pinsOf(run);
    clock = new ManualClock(START_MS + run * 3_600_000);
    events = new AdmittedEvents();
    for (const id of ['e-1', 'e-2', 'e-3']) events.add(pins.run_id, id, PAID_AT);
    labels = openLabels(ground(), events, clock);
    await labels.ready(pins);
  });

  const said = (handle: string, change: object = {}): object => ({
    run_id: pins.run_id,
    target: { kind: 'EVENT', event_id: 'e-1' },
    label_type: 'fraud_disposition',
    label_value: 'FRAUD_CONFIRMED',
    namespace: 'analyst',
    handle,
    ...change,
  });
  const now = (): UtcMicros => fromEpochMs(clock.nowMs());
  const known = async (at: UtcMicros, target: object = { kind: 'EVENT', event_id: 'e-1' }, of = labels) =>
    await of.asOf({
      run_id: pins.run_id,
      targets: [target as never],
      label_type: 'fraud_disposition',
      as_of_utc: at,
    });

  it('takes a label with the time of its own clock, the event’s as effective, and who says so', async () => {
    const [result] = await labels.append([said('h-1', { reported_at_utc: '2026-02-28T12:00:00+01:00' })]);
    expect(result).toMatchObject({ outcome: 'ACCEPTED', event_id: 'e-1', observed_at_utc: now() });
    const { answers, basis } = await known(now());
    expect(answers).toMatchObject([
      {
        state: 'LABEL',
        label: {
          label_id: result?.label_id,
          effective_at_utc: PAID_AT,
          recorded_at_utc: now(),
          reported_at_utc: '2026-02-28T11:00:00.000000Z',
          source: { type: 'HUMAN', namespace: 'analyst', actor: ANALYST },
        },
        losers: [],
      },
    ]);
    expect(basis).toMatchObject({
      ledger_seq: result?.ledger_seq,
      rule_id: 'strict',
      policy_rev: { policy_id: 'labels.store', revision: 7 },
    });
  });

  it('is NEW, DUPLICATE or CONFLICT by what stands under the handle; the first stands', async () => {
    const [first, again, other] = await labels.append([
      said('h-1'),
      said('h-1'),
      said('h-1', { label_value: 'LEGIT_CONFIRMED' }),
    ]);
    await clock.advance(5_000);
    const [later] = await labels.append([said('h-1')]);
    const { label_id, ledger_seq } = first ?? {};
    expect(again).toMatchObject({ outcome: 'DUPLICATE', label_id, ledger_seq });
    expect(later).toMatchObject({ outcome: 'DUPLICATE', label_id, ledger_seq });
    expect(other).toMatchObject({
      outcome: 'REJECTED',
      code: 'LBL_IDEMPOTENCY_KEY_CONFLICT',
      retryable: false,
      label_id,
    });
    expect((await known(now())).answers).toMatchObject([{ state: 'LABEL', label: { label_value: 'FRAUD_CONFIRMED' } }]);
  });

  describe('what was submitted', () => {
    const written = async (of = labels) => await of.counts(pins.run_id);

    it('is accepted, a duplicate or refused, counted by namespace, and what was refused is named', async () => {
      await labels.append([said('h-1'), said('h-1'), said('h-1', { label_value: 'LEGIT_CONFIRMED' })]);
      await labels.append([said('h-2', { target: { kind: 'EVENT', event_id: 'nobody' } }), said('h-1')]);
      await labels.append([said('b-1', { namespace: 'bank' })], BANK);
      // Neither names a run: both are of none.
      await labels.append([{ nothing: 1 }, { ...said('h-3'), run_id: 'x' }]);
      await labels.refused({ runId: pins.run_id, namespace: 'bank' }, [{ row: 7, code: 'LBL_ASSERTION_INVALID' }]);
      expect(await written()).toEqual({
        ...{ state: 'NONE', sealed: null, offending: {} },
        written: [
          { namespace: 'analyst', submitted: 5, accepted: 1, duplicate: 2, rejected: 2, in_ledger: 1 },
          { namespace: 'bank', submitted: 2, accepted: 1, duplicate: 0, rejected: 1, in_ledger: 1 },
        ],
        refusals: [
          { namespace: 'bank', handle: '#7', code: 'LBL_ASSERTION_INVALID' },
          { namespace: 'analyst', handle: 'h-2', code: 'LBL_TARGET_UNKNOWN' },
          { namespace: 'analyst', handle: 'h-1', code: 'LBL_IDEMPOTENCY_KEY_CONFLICT' },
        ],
      });
      expect(await labels.counts('f'.repeat(32))).toMatchObject({ state: 'UNKNOWN', written: [] });
    });

    it('and was answered as accepted, and stands nowhere, is named by its number', async () => {
      const losing = openLabels(ground(), events, clock, new LosingLedger(ground().database));
      const results = await losing.append([said('h-1'), said('h-2'), said('h-3')]);
      expect(results.map(({ outcome }) => outcome)).toEqual(['ACCEPTED', 'ACCEPTED', 'ACCEPTED']);
      const seq = results[1]?.ledger_seq;
      expect(await written()).toMatchObject({
        written: [{ namespace: 'analyst', submitted: 3, accepted: 3, in_ledger: 2 }],
        offending: { labels_accepted_not_in_ledger: { count: 1, ids: [`ledger_seq ${seq}`] } },
      });
    });

    it('stands for ever: the database itself refuses to change it', async () => {
      await labels.append([said('h-1')]);
      for (const statement of ['update submissions set submitted = 9', 'delete from submissions'])
        await expect(ground().database.query(statement)).rejects.toMatchObject({ code: /^DATABASE_/ });
    });
  });

  it('accepts one of many who say the same at once, and numbers all without a gap', async () => {
    const colleagues = Array.from({ length: 4 }, () => openLabels(ground(), events, clock));
    const before = await labels.ledger.head();
    const results = await Promise.all(
      colleagues.flatMap((each, n) => [each.append([said('same')]), each.append([said(`own ${n}`)])]),
    );
    const outcomes = results.flat().map(({ outcome }) => outcome);
    expect(outcomes.filter((outcome) => outcome === 'ACCEPTED')).toHaveLength(5);
    expect(outcomes.filter((outcome) => outcome === 'DUPLICATE')).toHaveLength(3);
    const rows = await labels.ledger.list({ after: before, limit: 100 });
    expect(rows.map(({ seq }) => seq)).toEqual([1, 2, 3, 4, 5].map((n) => before + n));
    const observed = rows.map(({ label }) => label.observed_at_utc);
    expect(observed).toEqual([...new Set(observed)].sort());
  });

  it.each<[string, object, string]>([
    ['without a run', { run_id: undefined }, 'LBL_MISSING_PINS'],
    ['of a run that nobody knows', { run_id: 'f'.repeat(32) }, 'LBL_RUN_UNKNOWN'],
    ['with the pins of another run', { pins: pinsOf(99_999) }, 'LBL_INVALID_PINS'],
    ['of an event that was never admitted', { target: { kind: 'EVENT', event_id: 'e-9' } }, 'LBL_TARGET_UNKNOWN'],
    ['of nothing', { target: { kind: 'EVENT' } }, 'LBL_INVALID_TARGET'],
    ['effective tomorrow', { effective_at_utc: '2027-01-01T00:00:00Z' }, 'LBL_INVALID_TIME_FIELDS'],
    ['reported on a day that there is not', { reported_at_utc: '2026-02-30T00:00:00Z' }, 'LBL_INVALID_TIME_FIELDS'],
    ['with a payload', { transaction: { amount: 3 } }, 'LBL_FORBIDDEN_PAYLOAD_STYLE'],
    ['of no type', { label_type: '' }, 'LBL_ASSERTION_INVALID'],
    ['of a type that is not the writer’s', { label_type: 'chargeback_status' }, 'LBL_LABEL_FAMILY_NOT_ALLOWED'],
    ['with a value of no vocabulary', { label_value: 'PERHAPS' }, 'LBL_LABEL_FAMILY_NOT_ALLOWED'],
    ['in a namespace of somebody else', { namespace: 'bank' }, 'LBL_UNAUTHORIZED_WRITER'],
    ['in the name of somebody else', { on_behalf_of: BANK }, 'LBL_UNAUTHORIZED_WRITER'],
    ['in that of sealed worlds', { namespace: 'world' }, 'LBL_UNAUTHORIZED_WRITER'],
    ['that takes back nothing', { label_value: 'WITHDRAWN' }, 'LBL_SUPERSEDES_INVALID'],
    ['that takes back what is not there', { supersedes: 'c'.repeat(64) }, 'LBL_SUPERSEDES_INVALID'],
  ])('refuses a label %s, and takes the one beside it', async (_, change, code) => {
    const results = await labels.append([JSON.parse(JSON.stringify(said('bad', change))) as object, said('good')]);
    expect(results).toMatchObject([{ outcome: 'REJECTED', code }, { outcome: 'ACCEPTED' }]);
    expect(await labels.ledger.list({ after: 0, limit: 10, runId: pins.run_id })).toHaveLength(1);
    expect(await labels.metricsText()).toContain(`code="${code}"`);
  });

  it('takes back and corrects what was said of the same thing, whose writer may', async () => {
    const [ours] = await labels.append([said('h-1')]);
    const [theirs] = await labels.append(
      [said('b-1', { namespace: 'bank', target: { kind: 'EVENT', event_id: 'e-2' } })],
      BANK,
    );
    const correction = (handle: string, change: object): object =>
      said(handle, { label_value: 'LEGIT_CONFIRMED', ...change });
    const [elsewhere] = await labels.append([correction('h-2', { supersedes: theirs?.label_id })]);
    expect(elsewhere).toMatchObject({ code: 'LBL_SUPERSEDES_INVALID' });
    const [forbidden] = await labels.append(
      [correction('b-2', { namespace: 'bank', supersedes: ours?.label_id })],
      BANK,
    );
    expect(forbidden).toMatchObject({ code: 'LBL_SUPERSEDES_INVALID' });
    const before = now();
    await clock.advance(1_000);
    const [right] = await labels.append([correction('h-3', { supersedes: ours?.label_id })]);
    expect(right).toMatchObject({ outcome: 'ACCEPTED' });
    await clock.advance(1_000);
    await labels.append([said('h-4', { label_value: 'WITHDRAWN', supersedes: right?.label_id })]);
    expect((await known(before)).answers).toMatchObject([{ label: { label_value: 'FRAUD_CONFIRMED' } }]);
    expect((await known(right?.observed_at_utc as UtcMicros)).answers).toMatchObject([
      { label: { label_value: 'LEGIT_CONFIRMED' } },
    ]);
    expect((await known(now())).answers).toEqual([{ state: 'UNKNOWN' }]);
  });

  it('names the person for whom a unit writes that may do so, and wants one named', async () => {
    const label = said('w-1', { namespace: 'workbench' });
    expect(await labels.append([label], WORKBENCH)).toMatchObject([{ code: 'LBL_UNAUTHORIZED_WRITER' }]);
    const machine = { ...label, on_behalf_of: BANK };
    expect(await labels.append([machine], WORKBENCH)).toMatchObject([{ code: 'LBL_UNAUTHORIZED_WRITER' }]);
    const person = { ...label, on_behalf_of: ANALYST };
    expect(await labels.append([person], WORKBENCH)).toMatchObject([{ outcome: 'ACCEPTED' }]);
    const source = { type: 'HUMAN', namespace: 'workbench', actor: ANALYST, via: WORKBENCH.actor_id };
    expect((await known(now())).answers).toMatchObject([{ state: 'LABEL', label: { source } }]);
  });

  it('knows an event by the id that its producer gave it, and says where that is not one event', async () => {
    const { run_id: _run, ...world } = pins;
    const [sealed, pushed] = [sealedEventIdOf('transactions', 't-1', world), edgeEventIdOf('payments-api', 't-1')];
    const target = { kind: 'TRANSACTION', transaction_id: 't-1' };
    expect(await labels.append([said('h', { target })])).toMatchObject([
      { code: 'LBL_TARGET_UNKNOWN', retryable: true },
    ]);
    events.add(pins.run_id, sealed, PAID_AT);
    expect(await labels.append([said('h', { target })])).toMatchObject([{ outcome: 'ACCEPTED', event_id: sealed }]);
    events.add(pins.run_id, pushed, PAID_AT);
    expect(await labels.append([said('h2', { target })])).toMatchObject([{ code: 'LBL_AMBIGUOUS_TARGET' }]);
    const named = { ...target, producer: 'payments-api' };
    expect(await labels.append([said('h2', { target: named })])).toMatchObject([{ event_id: pushed }]);
  });

  it('shows a label not a microsecond before it was observed', async () => {
    const [first, second] = await labels.append([
      said('h-1'),
      said('h-2', { target: { kind: 'EVENT', event_id: 'e-2' } }),
    ]);
    const [planted] = await labels.append([said('h-3', { target: { kind: 'EVENT', event_id: 'e-3' } })]);
    const at = first?.observed_at_utc as UtcMicros;
    expect(second?.observed_at_utc).toBe(at);
    expect(planted?.observed_at_utc).toBe(fromEpochMicros(toEpochMicros(at) + 1));
    await clock.advance(10);
    expect((await known(at, { kind: 'EVENT', event_id: 'e-3' })).answers).toEqual([{ state: 'UNKNOWN' }]);
    expect((await known(now(), { kind: 'EVENT', event_id: 'e-3' })).answers).toMatchObject([{ state: 'LABEL' }]);
  });

  describe('an answer as of a time', () => {
    /** A reader is answered, then a process whose clock is behind appends. */
    const raced = async (ledger: LedgerStore): Promise<readonly string[]> => {
      const reader = openLabels(ground(), events, clock, ledger);
      const behind = openLabels(ground(), events, new ManualClock(clock.nowMs() - 60_000));
      const at = now();
      const before = await known(at, undefined, reader);
      await behind.append([said('late')]);
      const after = await known(at, undefined, reader);
      return [before, after].map(({ answers }) => answers[0]?.state ?? 'none');
    };

    it('stays when a process appends whose clock is behind', async () => {
      expect(await raced(new LedgerStore(ground().database))).toEqual(['UNKNOWN', 'UNKNOWN']);
    });

    it('would change if nothing settled the time that was asked for', async () => {
      expect(await raced(new UnsettledLedger(ground().database))).toEqual(['UNKNOWN', 'LABEL']);
    });

    it('and of a number of the ledger stays through every history of appends, corrections and readers', async () => {
      const steps = fc.array(
        fc.record({
          writer: fc.integer({ min: 0, max: 2 }),
          event: fc.constantFrom('e-1', 'e-2'),
          value: fc.constantFrom('FRAUD_CONFIRMED', 'LEGIT_CONFIRMED', 'FRAUD_SUSPECTED'),
          corrects: fc.boolean(),
          passesMs: fc.integer({ min: 0, max: 40 }),
          looksBackMs: fc.integer({ min: 0, max: 60 }),
        }),
        { minLength: 1, maxLength: 12 },
      );
      let history = 0;
      await fc.assert(
        fc.asyncProperty(steps, async (taken) => {
          history += 1;
          // Three processes, one of them with its clock a little behind and one a little ahead.
          const clocks = [0, -25, 15].map((offMs) => new ManualClock(clock.nowMs() + offMs));
          const writers = clocks.map((each) => openLabels(ground(), events, each));
          const asked: { question: Parameters<typeof labels.asOf>[0]; answer: string }[] = [];
          const standing = new Map<string, string>();
          for (const [n, { writer, event, value, corrects, passesMs, looksBackMs }] of taken.entries()) {
            await Promise.all([clock.advance(passesMs), ...clocks.map((each) => each.advance(passesMs))]);
            const target = { kind: 'EVENT', event_id: event } as never;
            const supersedes = corrects ? standing.get(event) : undefined;
            const label = said(`${history} ${n}`, { target, label_value: value, supersedes });
            const [result] = (await writers[writer]?.append([JSON.parse(JSON.stringify(label)) as object])) ?? [];
            if (result?.label_id !== undefined) standing.set(event, result.label_id);
            const question = {
              run_id: pins.run_id,
              targets: [target],
              label_type: 'fraud_disposition',
              rule_id: 'last_word',
              as_of_utc: fromEpochMs(clock.nowMs() - looksBackMs),
            };
            const { answers, basis } = await labels.asOf(question);
            asked.push({ question: { ...question }, answer: JSON.stringify(answers) });
            asked.push({ question: { ...question, ledger_seq: basis.ledger_seq }, answer: JSON.stringify(answers) });
          }
          await clock.advance(100);
          for (const { question, answer } of asked)
            expect(JSON.stringify((await labels.asOf(question)).answers)).toBe(answer);
        }),
        { numRuns: 15 },
      );
    });

    it.each<[string, () => object, string]>([
      ['of tomorrow', () => ({ as_of_utc: fromEpochMs(clock.nowMs() + 1) }), 'LBL_AS_OF_IN_FUTURE'],
      ['of a run that nobody knows', () => ({ run_id: 'f'.repeat(32) }), 'LBL_RUN_UNKNOWN'],
      ['by a rule that there is not', () => ({ rule_id: 'best_guess' }), 'LBL_RULE_UNKNOWN'],
      ['at a number that there is not', () => ({ ledger_seq: 1_000_000_000 }), 'LBL_CURSOR_UNKNOWN'],
    ])('is refused where it is asked for %s', async (_, change, code) => {
      const question = {
        run_id: pins.run_id,
        targets: [{ kind: 'EVENT', event_id: 'e-1' } as never],
        label_type: 'fraud_disposition',
        as_of_utc: now(),
      };
      await expect(labels.asOf({ ...question, ...change() })).rejects.toMatchObject({ code });
    });

    it('is not given while the labels of the world still enter', async () => {
      const waiting = pinsOf(run + 1_000_000);
      await labels.ready(waiting, 'WAITING');
      const question = { targets: [{ kind: 'EVENT', event_id: 'e-1' } as never], label_type: 'fraud_disposition' };
      await expect(labels.asOf({ ...question, run_id: waiting.run_id, as_of_utc: now() })).rejects.toMatchObject({
        code: 'LBL_FEED_INCOMPLETE',
      });
      await ground().database.query(`update feeds set state = 'DONE' where run_id = $1`, [waiting.run_id]);
      const { answers } = await labels.asOf({ ...question, run_id: waiting.run_id, as_of_utc: now() });
      expect(answers).toEqual([{ state: 'UNKNOWN' }]);
    });
  });

  describe('a slice', () => {
    const question = (change: object = {}) => ({
      run_id: pins.run_id,
      label_type: 'fraud_disposition',
      as_of_utc: now(),
      ...change,
    });
    const rowsOf = async ({ rows }: Slice): Promise<readonly SliceRow[]> => {
      const text = (await ground().objects.read(rows)).toString('utf8');
      return text
        .split('\n')
        .filter((line) => line !== '')
        .map((line) => JSON.parse(line) as SliceRow);
    };
    const listOf = async (text: string): Promise<Ref> => {
      const key = objectKey(`test/targets/${randomUUID()}.ndjson`);
      return (await ground().objects.putIfAbsent(key, Buffer.from(text), { mediaType: 'application/x-ndjson' })).ref;
    };
    const about = (event_id: string) => ({ kind: 'EVENT', event_id });

    it('says of every target what the single answer says, and of all that were labelled where none are named', async () => {
      await labels.append([
        said('h-1'),
        said('h-2', { target: about('e-2') }),
        said('h-3', { target: about('e-2'), label_value: 'LEGIT_CONFIRMED' }),
        said('h-4', { target: { kind: 'ENTITY', type: 'card_id', id: 'c' } }),
      ]);
      const whole = await labels.slice(question());
      expect(whole).toMatchObject({
        counts: { LABEL: 1, CONFLICT: 1, UNKNOWN: 0 },
        by_value: { FRAUD_CONFIRMED: 1 },
        targets: null,
      });
      expect(await rowsOf(whole)).toMatchObject([
        { target: about('e-1'), state: 'LABEL', label_value: 'FRAUD_CONFIRMED', effective_at_utc: PAID_AT },
        { target: about('e-2'), state: 'CONFLICT', candidates: [expect.any(String), expect.any(String)] },
      ]);
      const wanted = ['e-3', 'e-2', 'e-1'].map(about);
      const targets = await listOf(`${wanted.map((each) => JSON.stringify(each)).join('\n')}\n\n`);
      const named = await labels.slice(question({ targets }));
      expect(named.counts).toEqual({ LABEL: 1, CONFLICT: 1, UNKNOWN: 1 });
      const { answers } = await labels.asOf({ ...question(), targets: wanted as never });
      expect((await rowsOf(named)).map(({ target, state }) => [target, state])).toEqual(
        answers.map(({ state }, index) => [wanted[index], state]),
      );
    });

    it('is the same object for the same question at the same number, whatever was said since', async () => {
      await labels.append([said('h-1')]);
      const first = await labels.slice(question());
      expect(await labels.slice(question())).toEqual(first);
      const { as_of_utc, ledger_seq } = first.basis;
      await clock.advance(1_000);
      await labels.append([said('h-2', { target: about('e-2') })]);
      expect(await labels.slice(question({ as_of_utc, ledger_seq }))).toEqual(first);
      const later = await labels.slice(question({ as_of_utc }));
      expect(later.slice_id).not.toBe(first.slice_id);
      expect(later.rows.digest).toEqual(first.rows.digest);
      expect((await labels.slice(question())).counts.LABEL).toBe(2);
    });

    it.each<[string, (ref: Ref) => object, string, string]>([
      ['a line that is no target', (ref) => ref, '{"kind":"EVENT"}', 'LBL_TARGETS_INVALID'],
      ['a line that is no JSON', (ref) => ref, 'e-1', 'LBL_TARGETS_INVALID'],
      [
        'other bytes than the ref says',
        (ref) => ({ ...ref, digest: { algo: 'sha256', hex: 'a'.repeat(64) } }),
        '{"kind":"EVENT","event_id":"e-1"}',
        'OBJECTS_DIGEST_MISMATCH',
      ],
    ])('is refused for targets with %s, and nothing is kept', async (_, change, line, code) => {
      const targets = change(await listOf(`${line}\n`)) as Ref;
      await expect(labels.slice(question({ targets }))).rejects.toMatchObject({ code });
      const { objects } = await ground().objects.list('labels/slices/');
      const made = await Promise.all(
        objects
          .filter(({ key }) => key.endsWith('slice.json'))
          .map(async ({ key }) => await ground().objects.head(key)),
      );
      const texts = await Promise.all(
        made.map(async (ref) => (await ground().objects.read(ref as Ref)).toString('utf8')),
      );
      expect(texts.filter((text) => text.includes(targets.digest.hex))).toEqual([]);
    });

    it('meets every target once, wherever its pages end', async () => {
      const ids = Array.from({ length: 7 }, (_, n) => `page-${n}`);
      for (const id of ids) events.add(pins.run_id, id, PAID_AT);
      await labels.append(
        ids.flatMap((id, n) =>
          Array.from({ length: 1 + (n % 3) }, (_, k) => said(`${id} ${k}`, { target: about(id) })),
        ),
      );
      const cut = { asOf: now(), seqMax: await labels.ledger.head() };
      for (const limit of [1, 2, 3, 4, 100]) {
        const met: (readonly [string, number])[] = [];
        for (let after = ''; ;) {
          const page = await labels.ledger.knownAfter(pins.run_id, 'fraud_disposition', { ...cut, after, limit });
          if (page.size === 0) break;
          for (const [key, found] of page) met.push([key, found.length]);
          after = [...page.keys()].at(-1) ?? after;
        }
        expect(met).toEqual(ids.map((id, n) => [`EVENT//${id}`, 1 + (n % 3)]));
      }
    });
  });

  it('cannot be edited by the very role that writes it', async () => {
    await labels.append([said('h-1')]);
    for (const statement of [
      `update labels set label_value = 'LEGIT_CONFIRMED'`,
      'delete from labels',
      'truncate labels',
    ])
      await expect(ground().database.query(statement)).rejects.toMatchObject({
        code: expect.stringMatching(/^DATABASE_/) as unknown as string,
      });
    expect((await known(now())).answers).toMatchObject([{ label: { label_value: 'FRAUD_CONFIRMED' } }]);
  });

  it('tells the control topic of each label, in the order of their numbers per target', async () => {
    const entity = { kind: 'ENTITY', type: 'customer_id', id: 'c-1' };
    await labels.append([
      said('h-1', { label_value: 'FRAUD_SUSPECTED' }),
      said('h-2'),
      said('h-3', { target: entity, label_type: 'account_takeover', label_value: 'ATO_CONFIRMED' }),
    ]);
    const others = openLabels(ground(), events, clock);
    const told = await Promise.all([labels.teller.tell(), others.teller.tell()]);
    expect(told.reduce((a, b) => a + b)).toBeGreaterThanOrEqual(3);
    expect(await labels.teller.tell()).toBe(0);
    const records = await recordsOf(ground().bus, CONTROL);
    const facts = records.flatMap(({ record }) => {
      const read = readEvent(record.value);
      return read.ok && read.event.envelope.run_id === pins.run_id ? [read.event] : [];
    });
    const shape = validatorOf(LabelSchema, 'the label');
    expect(facts.every(({ payload }) => shape.check(payload).ok)).toBe(true);
    const payloads = facts.map(({ payload }) => payload as unknown as Label);
    const values = payloads.flatMap(({ target, label_value }) => (target.kind === 'EVENT' ? [label_value] : []));
    expect(values).toEqual(['FRAUD_SUSPECTED', 'FRAUD_CONFIRMED']);
    expect(payloads.filter(({ target }) => target.kind === 'ENTITY')).toMatchObject([{ target: entity }]);
  });
}
