/** The two shapes in which many answers leave: one JSON array, or a line each. */
export type AnswerForm = 'json' | 'lines';

const FORMS: Readonly<Record<string, AnswerForm>> = {
  'application/json': 'json',
  'application/x-ndjson': 'lines',
  'application/ndjson': 'lines',
  'application/jsonl': 'lines',
};

/** The form of a body by its media type (lower case, without parameters); undefined for what is neither. */
export function formOfMediaType(mediaType: string): AnswerForm | undefined {
  return Object.hasOwn(FORMS, mediaType) ? FORMS[mediaType] : undefined;
}

/**
 * The form that an Accept header asks for: of those that we have the one with the highest weight, the first among equals.
 * Without a wish, or with one that we cannot fulfil, the form of the request: an answer in the other form is still better
 * than events that were refused because of how their receipts look.
 */
export function acceptedForm(accept: string | undefined, ofRequest: AnswerForm): AnswerForm {
  let best = { form: ofRequest, weight: 0 };
  for (const range of (accept ?? '').toLowerCase().split(',')) {
    const [type = '', ...parameters] = range.split(';').map((part) => part.trim());
    const form = type === '*/*' || type === 'application/*' ? ofRequest : formOfMediaType(type);
    const weight = Number(parameters.find((parameter) => parameter.startsWith('q='))?.slice(2) ?? 1);
    if (form !== undefined && weight > best.weight) best = { form, weight };
  }
  return best.form;
}
