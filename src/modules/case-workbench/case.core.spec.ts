import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { readFileSync } from 'node:fs';
import { parse } from 'yaml';
import type { Actor } from '../../rails/actor.js';
import { systemActor } from '../../rails/actor.js';
import type { Digest } from '../../rails/digest.js';
import { asPins, type RunPins } from '../../rails/pins.js';
import { sealPolicy } from '../../rails/policy-rev.js';
import { fromEpochMicros } from '../../rails/time.js';
import { validatorOf } from '../../rails/validator.js';
import {
  after,
  answered,
  caseOf,
  entriesOf,
  identityOf,
  isCaseRefusal,
  type NewEntry,
  subjectOf,
  triggered,
} from './case.core.js';
import { type Case, type CaseEvent, CaseEventSchema, CaseSchema, type Command, PRIORITIES } from './case.schema.js';
import type { CasesPolicy } from './case-workbench.policy.js';

const ANN: Actor = { actor_id: 'HUMAN::ann' as never, source_type: 'HUMAN', auth_mode: 'API_KEY' };
const { body: policy } = parse(readFileSync('profiles/local/policy/cases.workbench.yaml', 'utf8')) as {
  body: CasesPolicy;
};
const { policy_rev: policyRev } = sealPolicy('cases.workbench', 1, {});
const pins = asPins({
  manifest_fingerprint: 'a'.repeat(64),
  parameter_hash: 'b'.repeat(64),
  seed: '7',
  scenario_id: 'cases',
  run_id: '1'.repeat(32),
}) as RunPins;
const subject = subjectOf(pins, 'e-1');
const shapes = { event: validatorOf(CaseEventSchema, 'the entry'), state: validatorOf(CaseSchema, 'the case') };

/** A case with the timeline behind it, as a store keeps them. */
class Timeline {
  readonly events: CaseEvent[] = [];
  found: Case | null = null;

  add(entries: readonly NewEntry[]): void {
    for (const { content: _content, ...entry } of entries) {
      const case_seq = this.events.length + 1;
      const event = {
        ...entry,
        case_seq,
        recorded_at_utc: fromEpochMicros(1_700_000_000_000_000 + case_seq),
      } as CaseEvent;
      this.events.push(event);
      this.found = after(this.found, subject, event);
    }
  }

  opened(): this {
    const trigger = {
      subject,
      trigger: 'DECISION_ESCALATION',
      sourceRef: 'd-1',
      evidence: [{ kind: 'DECISION', id: 'd-1' }],
    } as const;
    this.add([triggered(trigger, policy, systemActor('cases'))]);
    return this;
  }

  get state(): Case {
    if (this.found === null) throw new Error('not opened');
    return this.found;
  }

  does(command: Command, key: string): string {
    const label = this.state.label.label_id;
    const entries = entriesOf(this.state, command, { actor: ANN, key, policy, policyRev, supersedes: label });
    if (isCaseRefusal(entries)) return entries.code;
    expect(entries[0]).toMatchObject(identityOf(subject.case_id, command, key));
    this.add(entries);
    return this.state.status;
  }

  /** The label store answers the submission that waits. */
  answers(accepted: boolean): void {
    const waiting = this.events.findLast((event) => event.type === 'LABEL_SUBMITTED');
    if (this.state.label.state !== 'PENDING' || waiting === undefined) return;
    const said = accepted
      ? { label_id: waiting.disposition_event_id.split('').reverse().join('') as Digest }
      : { code: 'LBL_TARGET_UNKNOWN', detail: 'none' };
    this.add([answered(subject.case_id, waiting.disposition_event_id, said, systemActor('labels'))]);
  }
}

const decide = (disposition: string): Command => ({ type: 'SET_DISPOSITION', disposition, reason: 'seen' });

describe('a case', () => {
  it('goes from new to closed, and is resolved by the label store’s answer alone', () => {
    const line = new Timeline().opened();
    expect(line.state).toMatchObject({ status: 'NEW', queue: 'review', priority: 'NORMAL', triggers: 1 });
    expect(line.does({ type: 'ASSIGN', to: 'HUMAN::ann' }, '1')).toBe('IN_PROGRESS');
    expect(line.does(decide('FRAUD'), '2')).toBe('DISPOSITION_SET');
    expect(line.does({ type: 'CLOSE', reason: 'done' }, '3')).toBe('CASE_LABEL_PENDING');
    expect(line.does(decide('LEGITIMATE'), '4')).toBe('CASE_LABEL_PENDING');
    line.answers(true);
    expect(line.state).toMatchObject({
      status: 'RESOLVED',
      label: { state: 'ACCEPTED' },
      disposition: { value: 'FRAUD' },
    });
    expect(line.does({ type: 'CLOSE', reason: 'done' }, '3')).toBe('CLOSED');
    expect(line.does(decide('LEGITIMATE'), '5')).toBe('CASE_CLOSED');
    expect(line.does({ type: 'REOPEN', reason: 'new word' }, '6')).toBe('IN_PROGRESS');
    expect(line.does({ type: 'REOPEN', reason: 'again' }, '7')).toBe('CASE_NOT_CLOSED');
  });

  it('has a later finding take the place of the one before, and one that says nothing take it back', () => {
    const line = new Timeline().opened();
    line.does(decide('FRAUD'), '1');
    line.answers(true);
    const first = line.state.label.label_id;
    line.does(decide('LEGITIMATE'), '2');
    expect(line.events.at(-1)).toMatchObject({ label_value: 'LEGIT_CONFIRMED', supersedes: first });
    line.answers(true);
    const second = line.state.label.label_id;
    line.does(decide('INCONCLUSIVE'), '3');
    expect(line.events.at(-1)).toMatchObject({ label_value: 'WITHDRAWN', supersedes: second });
    const other = new Timeline().opened();
    expect(other.does(decide('INCONCLUSIVE'), '1')).toBe('RESOLVED');
    expect(other.events.at(-1)?.type).toBe('DISPOSITION_SET');
  });

  it('is not resolved by a label that was refused, and can be decided again', () => {
    const line = new Timeline().opened();
    line.does(decide('FRAUD'), '1');
    line.answers(false);
    expect(line.state).toMatchObject({
      status: 'DISPOSITION_SET',
      label: { state: 'REJECTED', code: 'LBL_TARGET_UNKNOWN' },
    });
    expect(line.does(decide('LEGITIMATE'), '2')).toBe('DISPOSITION_SET');
    expect(line.events.at(-1)).not.toHaveProperty('supersedes');
  });

  it('comes back to life by a new trigger', () => {
    const line = new Timeline().opened();
    line.does({ type: 'CLOSE', reason: 'nothing' }, '1');
    const trigger = {
      subject,
      trigger: 'MANUAL_ASSERTION',
      sourceRef: 'm-1',
      evidence: [{ kind: 'EVENT', id: 'e-1' }],
    } as const;
    line.add([triggered(trigger, policy, ANN)]);
    expect(line.state).toMatchObject({ status: 'IN_PROGRESS', triggers: 2 });
    expect(line.state.evidence).toHaveLength(2);
  });

  it.each<[Command, string]>([
    [{ type: 'ESCALATE', queue: 'nowhere', reason: 'x' }, 'CASE_QUEUE_UNKNOWN'],
    [decide('PERHAPS'), 'CASE_DISPOSITION_UNKNOWN'],
  ])('refuses %j', (command, code) => {
    expect(new Timeline().opened().does(command, '1')).toBe(code);
  });

  it('is made again from its timeline, entry by entry as the published shapes say, after every history', () => {
    const commands: fc.Arbitrary<Command | 'accepted' | 'rejected'> = fc.oneof(
      fc.constantFrom<Command | 'accepted' | 'rejected'>(
        { type: 'ASSIGN', to: 'HUMAN::bob' },
        { type: 'UNASSIGN' },
        { type: 'NOTE', text: 'hm' },
        { type: 'CLOSE', reason: 'x' },
        { type: 'REOPEN', reason: 'x' },
        { type: 'ESCALATE', queue: 'fraud', reason: 'x' },
        { type: 'ATTACH_EVIDENCE', evidence: { kind: 'EXTERNAL_REF', id: 'r' } },
        'accepted',
        'rejected',
      ),
      fc.constantFrom('FRAUD', 'LEGITIMATE', 'SUSPECTED', 'INCONCLUSIVE').map(decide),
      fc.constantFrom(...PRIORITIES).map((priority) => ({ type: 'SET_PRIORITY', priority }) as const),
    );
    fc.assert(
      fc.property(fc.array(commands, { maxLength: 25 }), (wishes) => {
        const line = new Timeline().opened();
        wishes.forEach((wish, index) => {
          if (typeof wish === 'string') line.answers(wish === 'accepted');
          else line.does(wish, String(index));
          const { status, label, disposition } = line.state;
          // Resolved means answered, unless nobody had to be told.
          if (status === 'RESOLVED' && label.state === 'PENDING') throw new Error('resolved without an answer');
          if (disposition === null) expect(label.state).toBe('NONE');
        });
        expect(caseOf(subject, line.events)).toEqual(line.state);
        for (const event of line.events) expect(shapes.event.check(event)).toMatchObject({ ok: true });
        expect(shapes.state.check(line.state)).toMatchObject({ ok: true });
        expect(new Set(line.events.map(({ case_event_id }) => case_event_id)).size).toBe(line.events.length);
      }),
    );
  });

  it('has no gap and no other beginning', () => {
    const line = new Timeline().opened();
    line.does({ type: 'NOTE', text: 'a' }, '1');
    line.does({ type: 'NOTE', text: 'b' }, '2');
    const [one, , three] = line.events;
    if (one === undefined || three === undefined) throw new Error('three entries');
    expect(() => caseOf(subject, [one, three])).toThrow('does not follow');
    expect(() => caseOf(subject, [three])).toThrow('begins with its first trigger');
  });
});
