import { isUtf8 } from 'node:buffer';
import { ProbityError } from '../../../rails/errors/probity-error.js';
import { eventText } from './event-text.core.js';

/**
 * The text of a body that is one event. Of one that is too large it keeps one byte more than the gate takes and reads on
 * without keeping, since who is cut off while sending seldom reads the answer; past `readBytesMax` it stops reading, too.
 * @throws ProbityError HTTP_BODY_INVALID for an empty body, and what reading throws
 */
export async function oneEvent(
  body: AsyncIterable<Buffer>,
  eventBytesMax: number,
  readBytesMax: number,
): Promise<string> {
  const pieces: Buffer[] = [];
  let kept = 0;
  let read = 0;
  for await (const piece of body) {
    read += piece.byteLength;
    if (kept <= eventBytesMax) {
      const part = piece.subarray(0, eventBytesMax + 1 - kept);
      // A copy where only a part is kept, or the whole piece would stay in memory for it.
      pieces.push(part.byteLength === piece.byteLength ? part : Buffer.from(part));
      kept += part.byteLength;
    }
    if (read > readBytesMax) break;
  }
  if (read === 0) throw new ProbityError('HTTP_BODY_INVALID', 'the body is empty');
  const bytes = Buffer.concat(pieces);
  // One that was cut may end within a character: it is refused for its size, whatever its text.
  return eventText(bytes, kept > eventBytesMax || isUtf8(bytes));
}
