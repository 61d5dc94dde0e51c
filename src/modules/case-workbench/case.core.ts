import type { Actor } from '../../rails/actor.js';
import { digestCanonical, inOrder } from '../../rails/canonical-json.js';
import type { Digest } from '../../rails/digest.js';
import type { ActionOutcome } from '../../rails/events/action-outcome.schema.js';
import type { IdempotencyKey } from '../../rails/events/decision.schema.js';
import { WITHDRAWN } from '../../rails/events/label.schema.js';
import type { RunPins } from '../../rails/pins.js';
import type { PolicyRev } from '../../rails/policy-rev.js';
import {
  type Case,
  caseActionRecipe,
  type CaseEvent,
  caseEventIdRecipe,
  caseIdRecipe,
  type Command,
  type Evidence,
  type Status,
  type TRIGGERS,
} from './case.schema.js';
import type { CasesPolicy } from './case-workbench.policy.js';

/** A case in which more is wanted is none for people to work on by hand. */
const ACTIONS_MAX = 50;

/** What a case is about; the rest of it is its timeline. */
export interface Subject {
  readonly case_id: Digest;
  readonly pins: RunPins;
  readonly subject_event_id: Case['subject_event_id'];
}

export function subjectOf(pins: RunPins, eventId: string): Subject {
  const case_id = caseIdRecipe.derive({ pins, subject_event_id: eventId }) as string as Digest;
  return { case_id, pins, subject_event_id: eventId as Case['subject_event_id'] };
}

/** An entry before it has its place in a timeline. */
export type NewEntry = DistributiveOmit<CaseEvent, 'case_seq' | 'recorded_at_utc'> & {
  /** Of what was asked for: the same id with another one is a conflict. */
  readonly content: Digest;
};
type DistributiveOmit<Union, Key extends PropertyKey> = Union extends unknown ? Omit<Union, Key> : never;

export type CaseCode =
  | 'CASE_CLOSED'
  | 'CASE_NOT_CLOSED'
  | 'CASE_LABEL_PENDING'
  | 'CASE_QUEUE_UNKNOWN'
  | 'CASE_DISPOSITION_UNKNOWN'
  | 'CASE_GONE_ON'
  | 'CASE_EVIDENCE_FORBIDDEN'
  | 'CASE_EVIDENCE_INVALID'
  | 'CASE_ACTION_UNKNOWN'
  | 'CASE_ACTIONS_TOO_MANY';
export interface CaseRefusal {
  readonly code: CaseCode;
  readonly detail: string;
}
export const isCaseRefusal = (value: object): value is CaseRefusal => 'code' in value;

/** The case that a timeline makes: the same entries, the same case, whenever it is made. */
export function caseOf(subject: Subject, timeline: readonly CaseEvent[]): Case | null {
  let found: Case | null = null;
  for (const event of timeline) found = after(found, subject, event);
  return found;
}

/** The case behind one more entry. */
export function after(before: Case | null, subject: Subject, event: CaseEvent): Case {
  const { case_seq, recorded_at_utc: at } = event;
  if (before === null) {
    if (event.type !== 'CASE_TRIGGERED' || case_seq !== 1)
      throw new TypeError('a timeline begins with its first trigger');
    return {
      ...subject,
      ...{ case_seq, status: 'NEW', queue: event.queue, priority: event.priority, assignee: null, disposition: null },
      ...{
        label: { state: 'NONE' },
        actions: [],
        triggers: 1,
        evidence: event.evidence,
        opened_at_utc: at,
        changed_at_utc: at,
      },
    };
  }
  if (case_seq !== before.case_seq + 1) throw new TypeError(`entry ${case_seq} does not follow on ${before.case_seq}`);
  return { ...before, case_seq, changed_at_utc: at, ...changed(before, event) };
}

function changed(before: Case, event: CaseEvent): Partial<Case> {
  // Whoever touches a case has taken it up.
  const taken: Status = before.status === 'NEW' ? 'IN_PROGRESS' : before.status;
  switch (event.type) {
    case 'CASE_TRIGGERED':
      return {
        triggers: before.triggers + 1,
        evidence: withEvidence(before.evidence, event.evidence),
        // Something new about a case that was closed is for somebody to look at.
        ...(before.status === 'CLOSED' ? { status: 'IN_PROGRESS' } : {}),
      };
    case 'ASSIGNED':
      return { assignee: event.to, status: taken };
    case 'UNASSIGNED':
      return { assignee: null };
    case 'PRIORITY_SET':
      return { priority: event.priority };
    case 'ESCALATED':
      return { queue: event.queue, assignee: null };
    case 'NOTE_ADDED':
      return { status: taken };
    case 'EVIDENCE_ATTACHED':
      return { evidence: withEvidence(before.evidence, [event.evidence]), status: taken };
    case 'DISPOSITION_SET': {
      const { disposition: value, case_event_id, actor } = event;
      // Resolved by itself where nobody has to be told; a submission that follows takes it back.
      return { disposition: { value, case_event_id, by: actor.actor_id }, status: 'RESOLVED' };
    }
    case 'LABEL_SUBMITTED':
      return { status: 'DISPOSITION_SET', label: { ...before.label, state: 'PENDING' } };
    case 'LABEL_ACCEPTED':
      return event.disposition_event_id === before.disposition?.case_event_id
        ? { status: 'RESOLVED', label: { state: 'ACCEPTED', label_id: event.label_id } }
        : { label: { ...before.label, label_id: event.label_id } };
    case 'LABEL_REJECTED':
      return event.disposition_event_id === before.disposition?.case_event_id
        ? { label: { ...before.label, state: 'REJECTED', code: event.code } }
        : {};
    case 'ACTION_SUBMITTED': {
      const { intent_id, action } = event;
      return { actions: [...before.actions, { intent_id, action, state: 'SUBMITTED' }], status: taken };
    }
    case 'ACTION_ADMITTED':
      return { actions: withState(before.actions, event.intent_id, { state: 'ADMITTED' }) };
    case 'ACTION_REFUSED':
      return { actions: withState(before.actions, event.intent_id, { state: 'REFUSED', code: event.code }) };
    case 'ACTION_OUTCOME': {
      const { intent_id, status: state, reason_codes } = event;
      const [code] = reason_codes;
      return {
        actions: withState(before.actions, intent_id, { state, ...(code === undefined ? {} : { code }) }),
      };
    }
    case 'CASE_CLOSED':
      return { status: 'CLOSED' };
    case 'CASE_REOPENED':
      return { status: 'IN_PROGRESS' };
  }
}

/** What cannot be evidence: an object without its ref, or one that the workbench may not read for people. */
export function evidenceFault({ kind, id, ref }: Evidence, { evidence }: CasesPolicy): CaseRefusal | null {
  if (kind !== 'OBJECT')
    return ref === undefined ? null : { code: 'CASE_EVIDENCE_INVALID', detail: `${kind} is named by its id alone` };
  if (ref?.locator !== id)
    return { code: 'CASE_EVIDENCE_INVALID', detail: 'an OBJECT has a ref, and its id is the key' };
  if (evidence.prefixes.some((prefix) => id.startsWith(prefix))) return null;
  return {
    code: 'CASE_EVIDENCE_FORBIDDEN',
    detail: `cases.workbench lets people read ${evidence.prefixes.join(', ')}`,
  };
}

function withEvidence(known: readonly Evidence[], more: readonly Evidence[]): Case['evidence'] {
  const names = new Set(known.map(({ kind, id }) => `${kind} ${id}`));
  return [...known, ...more.filter(({ kind, id }) => !names.has(`${kind} ${id}`))];
}

type CaseAction = Case['actions'][number];
const ON_THEIR_WAY: ReadonlySet<CaseAction['state']> = new Set(['SUBMITTED', 'ADMITTED']);

/** An end stands: the gate's answer may be written down after the outcome, which came another way. */
function withState(
  actions: Case['actions'],
  intentId: CaseAction['intent_id'],
  answer: Pick<CaseAction, 'state' | 'code'>,
): Case['actions'] {
  return actions.map((one) =>
    one.intent_id === intentId && ON_THEIR_WAY.has(one.state) ? { ...one, ...answer } : one,
  );
}

export interface Trigger {
  readonly subject: Subject;
  readonly trigger: (typeof TRIGGERS)[number];
  readonly sourceRef: string;
  readonly evidence: readonly Evidence[];
  readonly reason?: string;
}

export function triggered(
  { subject, trigger, sourceRef, evidence, reason }: Trigger,
  { triggers }: CasesPolicy,
  actor: Actor,
): NewEntry {
  const opens = triggers[trigger];
  if (opens === undefined) throw new TypeError(`no trigger is called ${trigger}`);
  const { queue, priority } = opens;
  const told = { trigger, evidence, ...(reason === undefined ? {} : { reason }) };
  return entry(subject.case_id, 'CASE_TRIGGERED', `${trigger}:${sourceRef}`, actor, { ...told, queue, priority }, told);
}

const ENTRY_OF = {
  ASSIGN: 'ASSIGNED',
  UNASSIGN: 'UNASSIGNED',
  SET_PRIORITY: 'PRIORITY_SET',
  ESCALATE: 'ESCALATED',
  NOTE: 'NOTE_ADDED',
  ATTACH_EVIDENCE: 'EVIDENCE_ATTACHED',
  SET_DISPOSITION: 'DISPOSITION_SET',
  ASK_ACTION: 'ACTION_SUBMITTED',
  CLOSE: 'CASE_CLOSED',
  REOPEN: 'CASE_REOPENED',
} as const satisfies Record<Command['type'], CaseEvent['type']>;

/** By what a wish is recognised when it comes again, whatever the case says by then. */
export interface Identity {
  readonly case_event_id: Digest;
  readonly content: Digest;
}

export function identityOf(caseId: Digest, command: Command, key: string): Identity {
  const fields = { case_id: caseId, type: ENTRY_OF[command.type], source_ref: key };
  const case_event_id = caseEventIdRecipe.derive(fields) as string as Digest;
  return { case_event_id, content: digestCanonical(inOrder(command)) };
}

/** What a command comes to in a case as it stands. */
export function entriesOf(
  { case_id, pins, status, label, disposition, actions }: Case,
  command: Command,
  {
    actor,
    key,
    policy,
    policyRev,
    supersedes,
  }: {
    readonly actor: Actor;
    readonly key: string;
    readonly policy: CasesPolicy;
    readonly policyRev: PolicyRev;
    /** The last label that the store took for this case. */
    readonly supersedes: Digest | undefined;
  },
): readonly NewEntry[] | CaseRefusal {
  if (status === 'CLOSED' && command.type !== 'REOPEN' && command.type !== 'NOTE')
    return { code: 'CASE_CLOSED', detail: 'the case is closed: REOPEN it first' };
  const one = (data: object, type: CaseEvent['type'] = ENTRY_OF[command.type]): NewEntry =>
    entry(case_id, type, key, actor, data, command);
  switch (command.type) {
    case 'ASSIGN':
      return [one({ to: command.to })];
    case 'UNASSIGN':
      return [one({})];
    case 'SET_PRIORITY':
      return [one({ priority: command.priority })];
    case 'ESCALATE': {
      const { queue, reason } = command;
      if (policy.queues[queue] === undefined)
        return { code: 'CASE_QUEUE_UNKNOWN', detail: `no queue is called ${queue}` };
      return [one({ queue, reason })];
    }
    case 'NOTE':
      return [one({ text: command.text })];
    case 'ATTACH_EVIDENCE':
      return evidenceFault(command.evidence, policy) ?? [one({ evidence: command.evidence })];
    case 'SET_DISPOSITION': {
      const found = policy.dispositions[command.disposition];
      if (found === undefined)
        return { code: 'CASE_DISPOSITION_UNKNOWN', detail: `no disposition is called ${command.disposition}` };
      // Two labels under way would race for which one takes the place of which.
      if (label.state === 'PENDING')
        return { code: 'CASE_LABEL_PENDING', detail: `the label of ${disposition?.value ?? ''} is still on its way` };
      const set = one({ disposition: command.disposition, reason: command.reason });
      // A finding that says nothing takes back what was said before.
      const says = found.label ?? (supersedes === undefined ? null : withdrawn(policy));
      if (says === null) return [set];
      const submitted = { disposition_event_id: set.case_event_id, ...says };
      return [set, one({ ...submitted, ...(supersedes === undefined ? {} : { supersedes }) }, 'LABEL_SUBMITTED')];
    }
    case 'ASK_ACTION': {
      const { action, reason } = command;
      const asked = policy.actions[action];
      if (asked === undefined) return { code: 'CASE_ACTION_UNKNOWN', detail: `no action is called ${action}` };
      if (actions.length >= ACTIONS_MAX)
        return { code: 'CASE_ACTIONS_TOO_MANY', detail: `${ACTIONS_MAX} were asked for in this case` };
      const { title: _title, ...wish } = asked;
      const { case_event_id } = identityOf(case_id, command, key);
      const { action_domain, action_type } = wish;
      const intent_id = caseActionRecipe.derive({ pins, case_event_id, action_domain, action_type });
      return [one({ intent_id, action, ...wish, reason, policy_rev: policyRev })];
    }
    case 'CLOSE':
      if (label.state === 'PENDING')
        return { code: 'CASE_LABEL_PENDING', detail: 'the label store has not answered yet: close it then' };
      return [one({ reason: command.reason })];
    case 'REOPEN':
      if (status !== 'CLOSED') return { code: 'CASE_NOT_CLOSED', detail: `the case is ${status}` };
      return [one({ reason: command.reason })];
  }
}

/** Refused where the case has gone on since somebody looked at it. */
export function goneOn({ case_seq }: Case, seen: number | undefined): CaseRefusal | null {
  if (seen === undefined || seen === case_seq) return null;
  return { code: 'CASE_GONE_ON', detail: `it is at entry ${case_seq}, and ${seen} was seen` };
}

function withdrawn({
  dispositions,
}: CasesPolicy): { readonly label_type: string; readonly label_value: string } | null {
  const label = Object.values(dispositions).find((each) => each.label !== null)?.label;
  return label === undefined || label === null ? null : { label_type: label.label_type, label_value: WITHDRAWN };
}

/** What the label store says of a submission: the same answer is the same entry, whoever asked. */
export function answered(
  caseId: Digest,
  disposition_event_id: Digest,
  answer: { readonly label_id: Digest } | { readonly code: string; readonly detail: string },
  actor: Actor,
): NewEntry {
  const type = 'label_id' in answer ? 'LABEL_ACCEPTED' : 'LABEL_REJECTED';
  return entry(caseId, type, disposition_event_id, actor, { disposition_event_id, ...answer }, { type });
}

/** What the gate says of a wish. */
export function actionAnswered(
  caseId: Digest,
  intent_id: IdempotencyKey,
  answer: { readonly receipt_id: Digest } | { readonly code: string; readonly detail: string },
  actor: Actor,
): NewEntry {
  const type = 'receipt_id' in answer ? 'ACTION_ADMITTED' : 'ACTION_REFUSED';
  return entry(caseId, type, intent_id, actor, { intent_id, ...answer }, { type });
}

/** What the actions layer did about a wish: one entry, however often it is told. */
export function actionEnded(
  caseId: Digest,
  { idempotency_key: intent_id, outcome_id, status, reason_codes, policy_rev, matched_rule_id }: ActionOutcome,
  actor: Actor,
): NewEntry {
  const rule = matched_rule_id === undefined ? {} : { matched_rule_id };
  const told = { intent_id, outcome_id, status, reason_codes, policy_rev, ...rule };
  return entry(caseId, 'ACTION_OUTCOME', intent_id, actor, told, told);
}

function entry(
  case_id: Digest,
  type: CaseEvent['type'],
  source_ref: string,
  actor: Actor,
  data: object,
  asked: object,
): NewEntry {
  const case_event_id = caseEventIdRecipe.derive({ case_id, type, source_ref }) as string as Digest;
  return { ...data, case_event_id, type, actor, content: digestCanonical(inOrder(asked)) } as NewEntry;
}
