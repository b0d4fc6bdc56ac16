import { expect, test } from 'vitest';
import { BlockReceiver, BlockSender, PAYLOAD, encodeBlock } from './stream.ts';

function feed(receiver: BlockReceiver, chunks: readonly Buffer[]): Buffer {
  return Buffer.concat(chunks.flatMap((chunk) => receiver.receive(chunk)));
}

function blocksOf(sender: BlockSender, count: number): Buffer[] {
  return Array.from({ length: count }, () => sender.next() ?? Buffer.alloc(0));
}

test('every block is acknowledged, however the bytes are cut', () => {
  const [sender, receiver] = [new BlockSender(), new BlockReceiver()];
  sender.resume();
  receiver.resume();
  const bytes = Buffer.concat(blocksOf(sender, 5));
  const cuts = [bytes.subarray(0, 3), bytes.subarray(3, 5000), bytes.subarray(5000)];
  sender.receive(feed(receiver, cuts));
  expect([sender.sentBytes, sender.ackedBytes, receiver.receivedBytes]).toEqual([
    5 * PAYLOAD,
    5 * PAYLOAD,
    5 * PAYLOAD,
  ]);
  expect(receiver.lost).toBe(0);
});

test('a broken connection repeats what was not acknowledged, and loses nothing', () => {
  const [sender, receiver] = [new BlockSender(), new BlockReceiver()];
  const [first, second, third] = blocksOf(sender, 3);
  const answers = feed(
    receiver,
    [first, second, third?.subarray(0, 100)].filter((chunk) => chunk !== undefined),
  );
  sender.receive(answers.subarray(0, 4));
  receiver.resume();
  sender.receive(feed(receiver, sender.resume()));
  expect([sender.ackedBytes, receiver.receivedBytes]).toEqual([3 * PAYLOAD, 3 * PAYLOAD]);
  expect([receiver.repeated, receiver.lost]).toEqual([1, 0]);
});

test('a missing and an altered block are seen', () => {
  const receiver = new BlockReceiver();
  const altered = encodeBlock(3);
  altered[1000] = 0xff;
  feed(receiver, [encodeBlock(0), encodeBlock(2), altered]);
  expect(receiver.lost).toBe(2);
});

test('no more than a window is under way', () => {
  const sender = new BlockSender();
  const sent = blocksOf(sender, 100).filter((block) => block.length > 0);
  expect(sent).toHaveLength(64);
  expect(() => sender.receive(Buffer.from([0, 0, 0, 9]))).toThrow('block 0 was not acknowledged');
});
