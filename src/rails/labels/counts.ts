import { Type } from '@sinclair/typebox';
import { closed, safeInteger } from '../schema.js';

/** What writers of one namespace submitted of a run, and what came of it. */
export const WrittenLabelsSchema = closed({
  namespace: Type.String(),
  submitted: safeInteger(0, 'labels, retries included'),
  accepted: safeInteger(0, 'labels'),
  duplicate: safeInteger(0, 'labels'),
  rejected: safeInteger(0, 'labels'),
  in_ledger: safeInteger(0, 'labels that the ledger holds'),
});

/** A label that was refused, as its writer named it. */
export const RefusedLabelSchema = closed({ namespace: Type.String(), handle: Type.String(), code: Type.String() });
