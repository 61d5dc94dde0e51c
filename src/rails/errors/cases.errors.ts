import { defineErrors } from './error.js';

export const CASE_ERRORS = defineErrors({
  CASE_NOT_FOUND: {
    status: 404,
    retryable: false,
    title: 'There is no such case.',
    remedy: 'List the cases, or open one for the event.',
  },
  CASE_EVENT_UNKNOWN: {
    status: 409,
    retryable: true,
    title: 'The gate has admitted no such event in this run.',
    remedy: 'Correct the id or the run; where the event is still on its way, open the case later.',
  },
  CASE_CLOSED: {
    status: 409,
    retryable: false,
    title: 'The case is closed.',
    remedy: 'Reopen it first; notes may be added all the same.',
  },
  CASE_NOT_CLOSED: {
    status: 409,
    retryable: false,
    title: 'The case is not closed.',
    remedy: 'Only a case that was closed is reopened.',
  },
  CASE_LABEL_PENDING: {
    status: 409,
    retryable: true,
    title: 'The label store has not answered yet.',
    remedy: 'Send the command again once the label of the last disposition was accepted or rejected.',
  },
  CASE_QUEUE_UNKNOWN: {
    status: 422,
    retryable: false,
    title: 'There is no such queue.',
    remedy: 'Name one of queues in the policy cases.workbench.',
  },
  CASE_DISPOSITION_UNKNOWN: {
    status: 422,
    retryable: false,
    title: 'There is no such disposition.',
    remedy: 'Name one of dispositions in the policy cases.workbench.',
  },
  CASE_ACTION_UNKNOWN: {
    status: 422,
    retryable: false,
    title: 'There is no such action for people.',
    remedy: 'Name one of actions in the policy cases.workbench.',
  },
  CASE_ACTIONS_TOO_MANY: {
    status: 409,
    retryable: false,
    title: 'No more actions can be asked for in this case.',
    remedy: 'Ask whoever carries them out by another way, and note it in the case.',
  },
  CASE_EVIDENCE_UNKNOWN: {
    status: 404,
    retryable: false,
    title: 'The case has no such evidence.',
    remedy: 'Name a place in the list of evidence of the case, from 1.',
  },
  CASE_EVIDENCE_INVALID: {
    status: 422,
    retryable: false,
    title: 'This is no evidence.',
    remedy: 'Name an OBJECT by its ref, with the key as its id, and everything else by its id alone.',
  },
  CASE_EVIDENCE_FORBIDDEN: {
    status: 403,
    retryable: false,
    title: 'Such objects are not read through cases.',
    remedy: 'Whoever is responsible adds their prefix to evidence in the policy cases.workbench.',
  },
  CASE_EVIDENCE_ELSEWHERE: {
    status: 409,
    retryable: false,
    title: 'This evidence is not read through the workbench.',
    remedy: 'Look it up where it stands: the audit log, or the system outside that the reference names.',
  },
  CASE_EVIDENCE_UNAVAILABLE: {
    status: 409,
    retryable: true,
    title: 'No such record of this run stands on the bus.',
    remedy: 'Check the id; a record that was trimmed stands in the archive alone.',
  },
  CASE_EVIDENCE_TAMPERED: {
    status: 500,
    retryable: false,
    title: 'The record is not the one that was admitted.',
    remedy: 'Nothing was given out. Verify the audit log, and tell whoever is responsible for the bus.',
  },
  CASE_NOT_DECIDED: {
    status: 409,
    retryable: true,
    title: 'No decision of this event stands on the bus.',
    remedy: 'Ask for the action again, under a new key, once the event is decided.',
  },
  CASE_GONE_ON: {
    status: 412,
    retryable: false,
    title: 'The case has gone on since it was looked at.',
    remedy: 'Look at it again, and decide by what it says now.',
  },
  CASE_IDEMPOTENCY_CONFLICT: {
    status: 409,
    retryable: false,
    title: 'Something else was asked for under this idempotency key.',
    remedy: 'Use a key of its own for each command.',
  },
  CASE_PERSON_NEEDED: {
    status: 403,
    retryable: false,
    title: 'Only a person works on cases.',
    remedy: 'Use the key or the token of a person.',
  },
});
