import { DigestSchema } from '../digest.js';
import { RefSchema } from '../ref.js';
import { closed, type Sealed } from '../schema.js';

/** `sr.ready` v1: the run may be used, and this is the view of it. The pins stand in the envelope. */
export const ReadySchema = closed(
  {
    message_id: DigestSchema,
    facts_view: RefSchema,
  },
  { description: 'A run is ready: whoever starts from it reads this view and checks its digest.' },
);

export type Ready = Sealed<typeof ReadySchema>;
