/**
 * Conditions, reasons and events: the words that users, GitOps tools and alerts match on.
 * A word is added here before it is used, with the one line that documents it; none is ever given a second meaning.
 */

/** Condition types, in the order in which they stand in status. */
export const CONDITIONS = {
  Reconciling: 'This spec has not been acted on yet. False during a rotation.',
  Stalled: 'Nothing goes on until the user changes this object or what the message names.',
  Ready:
    'What this object stands for is served and consistent, also during a rotation. Of a peer: its references resolve.',
  Rotating: 'The CA moves from one generation to another; the reason says what it waits for.',
  Delivered: 'The present revision of the Secret was seen at the member.',
  Verified: 'Every edge was seen to work in real handshakes.',
} as const;
export type ConditionType = keyof typeof CONDITIONS;

/** Why a condition has its status. */
export const CONDITION_REASONS = {
  // Ready
  Serving: 'Ready: bundle and leaves are served.',
  SecretTerminating: 'Ready, but not for long: a Secret that is still needed is being deleted by someone.',
  NamespaceUnreadable: 'A watched namespace cannot be read: its members stay as they are and hold every rotation.',
  Issued: 'Ready: the Secret holds a valid leaf and the current bundle.',
  Resolved: 'Ready: every reference of the peer resolves.',
  Pending: 'Ready is not known yet: the first pass has not ended.',
  NotIssued: 'Not ready: no Secret has been written for this certificate yet.',
  Expired: 'Not ready: the certificate is past its notAfter.',
  Terminating: 'Not ready: the object is being deleted.',
  // Reconciling
  Progressing: 'Reconciling: the controller acts on this spec.',
  UpToDate: 'Not reconciling, or not stalled: this spec has been acted on.',
  // Stalled
  InvalidSpec: 'The spec breaks a rule that the API server did not check.',
  GenerationUnavailable: 'spec.rotation.generation names a number that cannot be rotated to.',
  LedgerMissing: 'Generation or member Secrets exist but the ledger does not: restore it.',
  LedgerInvalid: 'The ledger cannot be read: restore it.',
  LedgerBehind:
    'Members hold Secrets of a later epoch, or a generation, that the ledger does not know: an old backup was restored.',
  GenerationSecretMissing: 'A generation that the ledger names has no Secret: restore it; it is never minted again.',
  GenerationSecretInvalid: 'The Secret of a generation does not hold what the ledger says.',
  PassphraseUnavailable: 'The passphrase Secret is missing, empty, or does not open the CA key.',
  BundleUnsafe: 'The coming bundle would break a verifier: same key, same subject or same key id twice.',
  BundleNotHonoured:
    'It is not known whether the members honour two CAs at a time, so no rotation begins; the message says what to try and to set.',
  ImportRefused: 'The CA that spec.imported names for the wanted generation cannot sign here; the message says why.',
  TrustConflict: 'The ConfigMap in which the bundle is published is not ours.',
  WriteDenied:
    'The API server denies a write that is needed: by a policy, a webhook, a quota, or for want of rights. The message has its words.',
  ClockWrong:
    "The operator's clock and the API server's differ by minutes: nothing is signed or judged until they agree.",
  CANotFound: 'caRef names no ReplicationCA.',
  CANotReady: 'The ReplicationCA has no signer yet.',
  NamespaceNotAllowed: 'The ReplicationCA does not list this namespace in allowedNamespaces.',
  NotNamedByPeer: 'A certificate from another namespace is issued once a ReplicationPeer beside the CA names it.',
  SecretConflict: 'The Secret of that name is not ours, or belongs to another certificate.',
  OutputConflict: 'A Secret or ConfigMap of spec.outputObjects is not ours, or belongs to another certificate.',
  LeafUnavailable:
    'No leaf of the generation that is needed is in the Secrets of spec.provided, or it is refused; the message says why.',
  PasswordUnavailable: 'The password Secret of an output is missing, lacks the key, or holds what no reader takes.',
  CertificateNotFound: 'A member names no ClusterCertificate.',
  MixedCA: 'The members of one peer use different ReplicationCAs.',
  WrongNamespace: 'A peer counts only in the namespace of its ReplicationCA.',
  // Rotating
  Stable: 'No rotation is under way.',
  RotationPending: 'A change is wanted and waits until it may begin.',
  WaitingForEvidence: 'The stage waits until it was seen at every member.',
  RollingBack: 'The rotation goes back to where it came from; it waits until that was seen at every member.',
  WaitingForApproval: 'Proven; the next stage is entered with spec.rotation.approval.upTo.',
  Paused: 'spec.rotation.paused holds the rotation.',
  Interrupted:
    'All members change at one time (strategy Lockstep): links are down until every member was seen to have changed.',
  Soaking: 'Proven; spec.rotation.soak has not passed yet.',
  // Delivered
  Presented: 'Delivered: a probe saw this leaf.',
  NotPresented: 'Not delivered: a probe saw another certificate.',
  NotObserved: 'Not known: no probe has seen the member since the Secret was written.',
  // Verified
  AllEdgesVerified: 'Every edge was seen to work.',
  EdgesFailing: 'At least one edge was seen not to work.',
  EdgesUnknown: 'At least one edge has not been seen, and none was seen to fail.',
} as const;
export type ConditionReason = keyof typeof CONDITION_REASONS;

/** Reasons of events. */
export const EVENT_REASONS = {
  GenerationMinted: 'A CA key and certificate were made.',
  GenerationImported: 'A CA certificate and its key were copied from the Secret that spec.imported names.',
  NotDedicated:
    'An imported CA may have signed for others too: whoever holds such a certificate is let in by every member.',
  GenerationRemoved: 'The Secret of a dropped generation was deleted.',
  RotationStarted: 'A rotation to another generation began.',
  RotationReversed: 'The rotation turned round: spec.rotation.generation names the generation that it came from.',
  StageEntered: 'A stage of the rotation began.',
  InterruptionEnded:
    'All members changed at one time (strategy Lockstep), and all were seen to have: links hold again; the note says for how long they may have been down.',
  RotationCompleted: 'The rotation is complete; only the new generation is trusted.',
  RotationHeld: 'The rotation cannot go on; the note names the member and the next step.',
  GrantOpened: "Leave was given for one member's Secret to change.",
  Acknowledged:
    'A decision rests on a claim that a member uses its Secret; the note names who makes it and who wrote it down.',
  GrantProven: 'The change was seen at the member.',
  Soaking: 'A stage is proven and held for spec.rotation.soak.',
  ApprovalNeeded:
    'A stage is proven, and the next one waits for spec.rotation.approval; the note is the line to commit.',
  ProofLost: 'What was proven no longer holds; the soak begins anew.',
  MemberJoined: 'A member was added to the mesh.',
  MemberLeft: 'A member left the mesh; its leaf stays accepted until its generation is dropped.',
  Issued: 'A leaf was issued.',
  Renewed: 'A leaf was replaced by one of the same generation.',
  Provided: 'A leaf from a Secret of spec.provided was put into the Secret of its member.',
  LeafRefused:
    'What a Secret of spec.provided holds cannot be given to its member; the note names the rule and the remedy.',
  BundleWritten: 'The bundle in a Secret was written, because it changed or a grant is to be seen.',
  SecretRepaired: 'The content of a Secret was put right.',
  OutputsWritten:
    'Outputs were written: they or a password changed, they were changed by hand, or what they follow did.',
  SecretConflict: 'The Secret of that name is not ours and was left alone.',
  SecretTerminating: 'A Secret that is still needed is being deleted by someone.',
  NamespaceUnreadable: 'A watched namespace in which there are members cannot be read.',
  ExpiryNear: 'A certificate expires soon and cannot be renewed.',
  Stalled: 'Nothing goes on until the user acts.',
  EdgeVerified: 'An edge that failed works again.',
  EdgeFailing: 'An edge that worked fails.',
} as const;
export type EventReason = keyof typeof EVENT_REASONS;
