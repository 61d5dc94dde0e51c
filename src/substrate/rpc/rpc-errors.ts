import { type Static, Type } from '@sinclair/typebox';
import { fromProblem, isProbityError, ProbityError, toProblem } from '../../rails/errors/probity-error.js';
import { validatorOf } from '../../rails/validator.js';

/**
 * The error that crosses a port for whatever was thrown. A ProbityError crosses as code, detail and data, without the
 * cause and stack that only its own process understands; anything else is INTERNAL and its message stays behind, for it
 * may name insides or hold data. In process the same is done, so that nobody comes to rely on more than HTTP can carry.
 */
export function portable(error: unknown): ProbityError {
  if (isProbityError(error)) return new ProbityError(error.code, error.detail, { data: error.data });
  return new ProbityError('INTERNAL', 'the callee failed in a way that it does not know');
}

/** What a callee says of its error. Open for further members, as RFC 9457 demands of readers. */
const ProblemDocument = Type.Object({
  code: Type.String({ minLength: 1 }),
  detail: Type.Optional(Type.String()),
  data: Type.Optional(
    Type.Record(Type.String(), Type.Union([Type.String(), Type.Number(), Type.Boolean(), Type.Null()])),
  ),
});

const problems = validatorOf(ProblemDocument, 'the problem');

/** The error that a document describes, or undefined when it is none of ours: a proxy's page, another program's answer. */
export function errorOfProblem(document: unknown): ProbityError | undefined {
  const verdict = problems.check(document);
  if (!verdict.ok) return undefined;
  // The document has been checked just now; an unknown code becomes INTERNAL in fromProblem.
  return fromProblem(verdict.value as Static<typeof ProblemDocument> as Parameters<typeof fromProblem>[0]);
}

/** Through the wire and back, as HTTP would carry it. */
export function errorThroughWire(error: ProbityError): ProbityError {
  const document: unknown = JSON.parse(JSON.stringify(toProblem(error)));
  return errorOfProblem(document) ?? portable(undefined);
}
