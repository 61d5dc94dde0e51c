import { Type } from '@sinclair/typebox';
import { ActorSchema } from '../../rails/actor.js';
import { DigestSchema } from '../../rails/digest.js';
import { EventIdSchema } from '../../rails/envelope.schema.js';
import { ActionOutcomeSchema } from '../../rails/events/action-outcome.schema.js';
import {
  IdempotencyKeySchema,
  OutcomeSchema,
  PlannedActionSchema,
  ScopeSchema,
} from '../../rails/events/decision.schema.js';
import { IDENTIFIER_TYPES } from '../../rails/graph/graph.schema.js';
import { defineRecipe } from '../../rails/identity-recipe.js';
import { type RunPins, RunPinsSchema } from '../../rails/pins.js';
import { PolicyRevSchema } from '../../rails/policy-rev.js';
import { RefSchema } from '../../rails/ref.js';
import { closed, safeInteger, type Sealed } from '../../rails/schema.js';
import { UtcMicrosSchema } from '../../rails/time.js';

export const PRIORITIES = ['LOW', 'NORMAL', 'HIGH', 'URGENT'] as const;
const PrioritySchema = Type.Union(PRIORITIES.map((priority) => Type.Literal(priority)));
export const QueueSchema = Type.String({ pattern: '^[a-z][a-z0-9_-]{0,63}$' });
export const DispositionSchema = Type.String({ pattern: '^[A-Z][A-Z0-9_]{0,63}$' });
const Text = Type.String({ minLength: 1, maxLength: 4_000, pattern: '^[^\\x00]*$' });
const Person = Type.String({ pattern: '^HUMAN::[!-~]{1,240}$' });
const Id = Type.String({ minLength: 1, maxLength: 300, pattern: '^[!-~]([ -~]*[!-~])?$' });

export const EVIDENCE_KINDS = [
  'DECISION',
  'DLA_AUDIT_RECORD',
  'ACTION_OUTCOME',
  'EVENT',
  'EXTERNAL_REF',
  'OBJECT',
] as const;

/** What a case stands on, by reference alone: what it says stays where it is. */
export const EvidenceSchema = closed({
  kind: Type.Union(EVIDENCE_KINDS.map((kind) => Type.Literal(kind))),
  id: Id,
  /** Of an OBJECT alone, whose id is the key of the object. */
  ref: Type.Optional(RefSchema),
});
export type Evidence = Sealed<typeof EvidenceSchema>;

/** What cases may share: identifiers of the graph, who was paid, and why it was decided so. */
export const MARK_KINDS = [...IDENTIFIER_TYPES, 'merchant', 'terminal', 'reason'] as const;
export const MarkKindSchema = Type.Union(MARK_KINDS.map((kind) => Type.Literal(kind)));
export interface Mark {
  readonly kind: (typeof MARK_KINDS)[number];
  readonly value: string;
}

/** ANOMALY: what the audit log has quarantined. */
export const TRIGGERS = ['DECISION_ESCALATION', 'ACTION_FAILURE', 'ANOMALY', 'MANUAL_ASSERTION'] as const;

/** What was found, and why: it becomes a label, so it wants a permission of its own. */
export const FindingSchema = closed({
  type: Type.Literal('SET_DISPOSITION'),
  disposition: DispositionSchema,
  reason: Text,
});

export const ActionNameSchema = Type.String({ pattern: '^[A-Z][A-Z0-9_]{0,63}$' });
/** What somebody is to do, by its name in the policy: the actions layer is asked, so it wants a permission of its own. */
export const ActionAskedSchema = closed({ type: Type.Literal('ASK_ACTION'), action: ActionNameSchema, reason: Text });

/** What else a person may do in a case. */
export const CommandSchema = Type.Union([
  closed({ type: Type.Literal('ASSIGN'), to: Person }),
  closed({ type: Type.Literal('UNASSIGN') }),
  closed({ type: Type.Literal('SET_PRIORITY'), priority: PrioritySchema }),
  closed({ type: Type.Literal('ESCALATE'), queue: QueueSchema, reason: Text }),
  closed({ type: Type.Literal('NOTE'), text: Text }),
  closed({ type: Type.Literal('ATTACH_EVIDENCE'), evidence: EvidenceSchema }),
  closed({ type: Type.Literal('CLOSE'), reason: Text }),
  closed({ type: Type.Literal('REOPEN'), reason: Text }),
]);
export type Command = Sealed<typeof CommandSchema> | Sealed<typeof FindingSchema> | Sealed<typeof ActionAskedSchema>;

const once = {
  /** The same key again is the same entry, however often it is sent. */
  idempotency_key: Id,
  /** What the person saw: a case that has gone on since refuses the command. */
  expected_seq: Type.Optional(safeInteger(1, 'case_seq of the last entry that was seen')),
};
export const CommandRequest = closed({ command: CommandSchema, ...once });
export const FindingRequest = closed({ disposition: DispositionSchema, reason: Text, ...once });
export const ActionRequest = closed({ action: ActionNameSchema, reason: Text, ...once });

const base = {
  case_event_id: DigestSchema,
  case_seq: safeInteger(1, 'within the case'),
  actor: ActorSchema,
  recorded_at_utc: UtcMicrosSchema,
};
const entry = <Name extends string>(type: Name) => ({ ...base, type: Type.Literal(type) });

/** One entry of a timeline. Submissions and answers are entries of their own: what was asked for is not what is so. */
export const CaseEventSchema = Type.Union([
  closed({
    ...entry('CASE_TRIGGERED'),
    trigger: Type.Union(TRIGGERS.map((trigger) => Type.Literal(trigger))),
    queue: QueueSchema,
    priority: PrioritySchema,
    reason: Type.Optional(Text),
    evidence: Type.Array(EvidenceSchema, { maxItems: 10 }),
  }),
  closed({ ...entry('ASSIGNED'), to: Person }),
  closed({ ...entry('UNASSIGNED') }),
  closed({ ...entry('PRIORITY_SET'), priority: PrioritySchema }),
  closed({ ...entry('ESCALATED'), queue: QueueSchema, reason: Text }),
  closed({ ...entry('NOTE_ADDED'), text: Text }),
  closed({ ...entry('EVIDENCE_ATTACHED'), evidence: EvidenceSchema }),
  closed({ ...entry('DISPOSITION_SET'), disposition: DispositionSchema, reason: Text }),
  /** The label store is to be told; nothing is known of its answer yet. */
  closed({
    ...entry('LABEL_SUBMITTED'),
    disposition_event_id: DigestSchema,
    label_type: Type.String(),
    label_value: Type.String(),
    supersedes: Type.Optional(DigestSchema),
  }),
  closed({ ...entry('LABEL_ACCEPTED'), disposition_event_id: DigestSchema, label_id: DigestSchema }),
  closed({
    ...entry('LABEL_REJECTED'),
    disposition_event_id: DigestSchema,
    code: Type.String(),
    detail: Type.String({ maxLength: 1_000 }),
  }),
  /** The actions layer is to be asked through the gate; in full, so that the wish can be made again from it alone. */
  closed({
    ...entry('ACTION_SUBMITTED'),
    intent_id: IdempotencyKeySchema,
    action: ActionNameSchema,
    action_domain: PlannedActionSchema.properties.action_domain,
    action_type: PlannedActionSchema.properties.action_type,
    scope: ScopeSchema,
    /** The verdict that the effector is told; without one that of the decision. */
    outcome: Type.Optional(OutcomeSchema),
    reason: Text,
    policy_rev: PolicyRevSchema,
  }),
  /** The gate has taken the wish. */
  closed({ ...entry('ACTION_ADMITTED'), intent_id: IdempotencyKeySchema, receipt_id: DigestSchema }),
  /** It never became one. */
  closed({
    ...entry('ACTION_REFUSED'),
    intent_id: IdempotencyKeySchema,
    code: Type.String(),
    detail: Type.String({ maxLength: 1_000 }),
  }),
  /** What the actions layer did. */
  closed({
    ...entry('ACTION_OUTCOME'),
    intent_id: IdempotencyKeySchema,
    outcome_id: DigestSchema,
    status: ActionOutcomeSchema.properties.status,
    reason_codes: ActionOutcomeSchema.properties.reason_codes,
    policy_rev: PolicyRevSchema,
    matched_rule_id: ActionOutcomeSchema.properties.matched_rule_id,
  }),
  closed({ ...entry('CASE_CLOSED'), reason: Text }),
  closed({ ...entry('CASE_REOPENED'), reason: Text }),
]);
export type CaseEvent = Sealed<typeof CaseEventSchema>;

export const STATUSES = ['NEW', 'IN_PROGRESS', 'DISPOSITION_SET', 'RESOLVED', 'CLOSED'] as const;
export type Status = (typeof STATUSES)[number];

/** SUBMITTED: the gate has not answered. ADMITTED: the actions layer has not. The others are ends. */
export const ACTION_STATES = ['SUBMITTED', 'ADMITTED', 'REFUSED', 'EXECUTED', 'DENIED', 'FAILED'] as const;

/** A case as its timeline makes it. */
export const CaseSchema = closed({
  case_id: DigestSchema,
  pins: RunPinsSchema,
  /** The event that the case is about. */
  subject_event_id: EventIdSchema,
  case_seq: safeInteger(1, 'entries'),
  status: Type.Union(STATUSES.map((status) => Type.Literal(status))),
  queue: QueueSchema,
  priority: PrioritySchema,
  assignee: Type.Union([Person, Type.Null()]),
  disposition: Type.Union([
    closed({ value: DispositionSchema, case_event_id: DigestSchema, by: Type.String() }),
    Type.Null(),
  ]),
  label: closed({
    state: Type.Union((['NONE', 'PENDING', 'ACCEPTED', 'REJECTED'] as const).map((state) => Type.Literal(state))),
    label_id: Type.Optional(DigestSchema),
    code: Type.Optional(Type.String()),
  }),
  /** What people asked for, and how far it is. */
  actions: Type.Array(
    closed({
      intent_id: IdempotencyKeySchema,
      action: ActionNameSchema,
      state: Type.Union(ACTION_STATES.map((state) => Type.Literal(state))),
      /** Of one that was refused, denied or failed. */
      code: Type.Optional(Type.String()),
    }),
  ),
  triggers: safeInteger(1, 'that led here'),
  evidence: Type.Array(EvidenceSchema),
  opened_at_utc: UtcMicrosSchema,
  changed_at_utc: UtcMicrosSchema,
});
export type Case = Sealed<typeof CaseSchema>;
export type CasePage = { readonly cases: readonly Case[]; readonly next_cursor?: string };
/** A wish of either kind. */
export interface Asked {
  readonly command: Command;
  readonly idempotency_key: string;
  readonly expected_seq?: number | undefined;
}

/** One case per event, however many triggers there are. */
export const caseIdRecipe = defineRecipe<{ pins: RunPins; subject_event_id: string }, 'CaseId'>('cases.case', 1, {
  pins: true,
  subject_event_id: true,
});

/** One effect per wish of a person: the intent's event id at once. */
export const caseActionRecipe = defineRecipe<
  { pins: RunPins; case_event_id: string; action_domain: string; action_type: string },
  'IdempotencyKey'
>('cases.action', 1, { pins: true, case_event_id: true, action_domain: true, action_type: true });

/** `source_ref` is the key of a person's command, or what a trigger or an answer came from. */
export const caseEventIdRecipe = defineRecipe<{ case_id: string; type: string; source_ref: string }, 'CaseEventId'>(
  'cases.event',
  1,
  { case_id: true, type: true, source_ref: true },
);

export const BULK_MAX = 200;

/** One finding about many cases, once as a whole. */
export const BulkFindingRequest = closed({
  cases: Type.Array(closed({ case_id: DigestSchema, expected_seq: once.expected_seq }), {
    minItems: 1,
    maxItems: BULK_MAX,
  }),
  disposition: DispositionSchema,
  reason: Text,
  idempotency_key: Id,
});
export type BulkFinding = Sealed<typeof BulkFindingRequest>;

/** What came of it in one case. */
export const BulkAnswerSchema = Type.Union([
  closed({ case_id: DigestSchema, outcome: Type.Literal('DONE'), case_event_id: DigestSchema }),
  closed({
    case_id: DigestSchema,
    outcome: Type.Literal('REFUSED'),
    code: Type.String(),
    detail: Type.String({ maxLength: 1_000 }),
  }),
]);
export type BulkAnswer = Sealed<typeof BulkAnswerSchema>;
