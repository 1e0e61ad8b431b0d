package broker

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// transcripts are the tests that tell a broker what happens, and what it does about it. They run as they are, and once more in TestHandedOver.
var transcripts = []func(*testing.T){
	TestAmplificationWithCookie,
	TestAnswered,
	TestAnsweredEnds,
	TestAnsweredSuccessor,
	TestAnsweredStuck,
	TestCareful,
	TestVersion10,
	TestDrain,
	TestDrainWhileSettingUp,
	TestCloseRate,
	TestCloseRateWhenLate,
	TestKick,
	TestFaultExists,
	TestFaultExistsAgainAndAgain,
	TestFaultOther,
	TestFaultOldSession,
	TestFaultOldSessionQueue,
	TestFaultWithSuccessor,
	TestCookie,
	TestUsage,
	TestUsageCountsTheQueue,
	TestUsageOfFewerDescriptors,
	TestPrepare,
	TestPrepareOfOldClients,
	TestPrepareIPv6,
	TestPrepareCookie,
	TestPrepareMalformed,
	TestPrepareRefused,
	TestPrepareRepeated,
	TestPrepareRepeatedTellsTheMTU,
	TestWindow,
	TestDropped,
	TestOutOfOrderBeforeSetUp,
	TestOutOfOrderInATunnel,
	TestCookieOfAnother,
	TestWrongSocket,
	TestAnothersID,
	TestReplayed,
	TestTruncated,
	TestTimeout,
	TestErrorOfTheClient,
	TestLost,
	TestSerial,
	TestStuck,
	TestStop,
	TestStopWhileCreationFails,
	TestSameIDAgain, TestIDOfTheNodesOwn, TestIDOfTheNodesOwnIsTaken, TestBandwidthOfTheNodesOwn, TestIDs,
	TestEventsOutOfPlace,
	TestPerUUID,
	TestLimitsDoNotCountRefusals,
	TestQueueIsShared,
	TestAnotherUUIDInTheQueue,
	TestDenied,
	TestAllowed,
	TestListsChange,
	TestListsWhileVerifying,
	TestListsAndSuccessors,
	TestKeepaliveTimes,
	TestKeepaliveNumber,
	TestDiscovery,
	TestDiscoveryTellsAgain,
	TestNotifiedEarly,
	TestNotifiedOften,
	TestNotifiedHint,
	TestTooBig,
	TestProbesOfTheClient,
	TestFixedMTU,
	TestLimit,
	TestLimitMalformed,
	TestLimitConfigured,
	TestLimitOften,
	TestPacing,
	TestPacingSkipsTheStale,
	TestPacingFull,
	TestDue,
	TestPerAddress,
	TestMemory,
	TestReconfigureNothing,
	TestSmallerLimit,
	TestLimitWhileIDsAreAside,
	TestLimitOfDescriptors,
	TestTakenElsewhere,
	TestTimeoutChanges,
	TestFixedMTUComesAndGoes,
	TestFixedMTUWhileVerifying,
	TestBandwidthChanges,
	TestPaceChanges,
	TestPerAddressLimitChanges,
	TestRemove,
	TestSmallerLimitThanStand,
	TestNext,
	TestSetupTimes,
	TestShedEvenly,
	TestShedSparesThoseWithACookie,
	TestShedIsReconfigured,
	TestRestoreIntoAnotherRange,
	TestRestoreIntoDiscovery,
	TestAdopt,
	TestRemake,
	TestRemakeWhatFits,
	TestRemakeFails, TestRemakeFreed,
	TestRemakeTwice,
	TestRemakeWhatEnds,
	TestRemakeForNobody,
	TestCutOff,
	TestSuccessor,
	TestSuccessorOfClosing,
	TestSuccessorStale,
	TestSuccessorOfVerifying,
	TestSuccessorOfCreating,
	TestSuccessorInQueue,
	TestSuccessorNotAcceptable,
	TestTwinsAny,
	TestTwinsAnyRestarted,
	TestTwinsRefuse,
	TestTwinsReplaceSameSite,
	TestTwinsReplaceSilent,
	TestTwinsReplaceLiving,
	TestTwinsReplaceBacksOff,
	TestTwinsReplaceAndVerify,
	TestTwinsBothVerified,
	TestTwinsInQueue,
	TestTwinsAndSuccessors,
	TestTwinsAreFound,
	TestStranger,
	TestMisfit,
	TestVerify,
	TestVerifyOvertaken,
}

// handing makes new rigs give every event to a successor.
var handing bool

// Every transcript with an upgrade before each event: nothing is lost in it, and nothing comes out of it that would not have come without.
// One that fails here alone is the fault of AppendState or Restore.
func TestHandedOver(t *testing.T) {
	handing = true
	defer func() { handing = false }()
	for _, transcript := range transcripts {
		t.Run(nameOf(transcript), transcript)
	}
}

func nameOf(test func(*testing.T)) string {
	name := runtime.FuncForPC(reflect.ValueOf(test).Pointer()).Name()
	return name[strings.LastIndexByte(name, '.')+1:]
}

// No transcript is left out: a test that makes a rig is in the list, unless the rig stays alone.
func TestTranscriptsAreListed(t *testing.T) {
	var listed []string
	for _, transcript := range transcripts {
		listed = append(listed, nameOf(transcript))
	}
	files, err := filepath.Glob("*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, path := range files {
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, declaration := range file.Decls {
			test, ok := declaration.(*ast.FuncDecl)
			if !ok || !strings.HasPrefix(test.Name.Name, "Test") || !mentions(test.Body, "newRig") || mentions(test.Body, "alone") {
				continue
			}
			found++
			if !slices.Contains(listed, test.Name.Name) {
				t.Errorf("%s is not among the transcripts: list it in transcript_test.go, so that it is tried across upgrades too", test.Name.Name)
			}
		}
	}
	if found != len(listed) {
		t.Errorf("%d transcripts are listed, %d are there", len(listed), found)
	}
}

// mentions reports whether a name is used in the code.
func mentions(code ast.Node, name string) (found bool) {
	ast.Inspect(code, func(n ast.Node) bool {
		id, ok := n.(*ast.Ident)
		found = found || ok && id.Name == name
		return !found
	})
	return found
}
