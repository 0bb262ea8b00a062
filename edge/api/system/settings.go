package system

import (
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"slices"
	"strconv"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/edge/api"
	"github.com/nearside/nearside/edge/parse"
	"github.com/nearside/nearside/edge/strength"
)

// Config has the settings that differ between deployments. The zero value of each optional field
// means its documented default.
type Config struct {
	OpenServer  bool // anybody may sign up
	Passwords   strength.Rules
	SiteURL     string // the deployment's address for clients; default: unknown
	Build       string // this build; default "dev"
	Files       bool   // files can be stored
	MaxBytes    int64  // of one file
	PublicLinks bool   // users may make links that need no session
}

// Settings is the configuration that clients see. All values are strings, as clients expect.
type Settings struct {
	limited map[string]string // for everybody
	full    map[string]string // for users with a session

	// VersionID identifies this server for clients, in X-Version-Id and in hello: version, build,
	// hash of this configuration, licensed. Web clients load no roles without it, and reload
	// everything when it changes.
	VersionID string
}

// NewSettings returns the configuration that clients see.
func NewSettings(cfg Config) Settings {
	build := cfg.Build
	if build == "" {
		build = "dev"
	}
	limited := map[string]string{
		"Version": api.Version, "BuildNumber": build, "BuildHash": build, "BuildHashEnterprise": "none", "BuildDate": "",
		"BuildEnterpriseReady": "false", "SiteURL": cfg.SiteURL, "SiteName": "Nearside", "WebsocketURL": "", "WebsocketPort": "80", "WebsocketSecurePort": "443",
		"DefaultClientLocale": "en", "AvailableLocales": "", "EnableSignInWithEmail": "true", "EnableSignInWithUsername": "true",
		"EnableSignUpWithEmail": "true", "EnableUserCreation": "true", "EnableOpenServer": strconv.FormatBool(cfg.OpenServer),
		"EnableGuestAccounts": "false", "PasswordMinimumLength": strconv.Itoa(cfg.Passwords.Min()), "PasswordRequireLowercase": "false",
		"PasswordRequireUppercase": "false", "PasswordRequireNumber": "false", "PasswordRequireSymbol": "false", "PasswordEnableForgotLink": "false",
		"EnableLdap": "false", "EnableSaml": "false", "EnableSignUpWithGitLab": "false", "EnableSignUpWithGoogle": "false",
		"EnableSignUpWithOffice365": "false", "EnableSignUpWithOpenId": "false", "EnableMultifactorAuthentication": "false",
		"EnforceMultifactorAuthentication": "false", "EnableCustomBrand": "false", "CustomBrandText": "", "CustomDescriptionText": "",
		"EnableDesktopLandingPage": "false", "AppDownloadLink": "", "AndroidAppDownloadLink": "", "IosAppDownloadLink": "", "HelpLink": "",
		"TermsOfServiceLink": "", "PrivacyPolicyLink": "", "AboutLink": "", "ReportAProblemLink": "", "PluginsEnabled": "false",
		"EnableBotAccountCreation": "false", "EnableDiagnostics": "false", "DiagnosticsEnabled": "false", "DiagnosticId": "",
		"HasImageProxy": "false", "EnableCustomUserStatuses": "false", "EnableClientMetrics": "false", "TelemetryId": "",
		"AsymmetricSigningPublicKey": "", "EnableComplianceExport": "false", "MobileExternalBrowser": "false", "EnableDeveloper": "false",
		"EnableUserStatuses": "true", "SchemaVersion": "1", "InstallationDate": "0",
		"FeatureFlagChannelBookmarks": "true", "FeatureFlagWebSocketEventScope": "false", "FeatureFlagCustomProfileAttributes": "false",
		"FeatureFlagContentFlagging": "false", "FeatureFlagBurnOnRead": "false", "FeatureFlagGraphQL": "false", "FeatureFlagOnboardingTourTips": "false",
		"FeatureFlagExperimentalCrossTeamSearch": "false", "FeatureFlagAttributeBasedAccessControl": "false",
	}
	files := strconv.FormatBool(cfg.Files)
	full := maps.Clone(limited)
	maps.Copy(full, map[string]string{
		"CollapsedThreads": "disabled", "TeammateNameDisplay": "username", "LockTeammateNameDisplay": "false",
		"MaxPostSize": strconv.Itoa(core.MaxPostRunes), "MaxFileSize": strconv.FormatInt(cfg.MaxBytes, 10), "EnableFileAttachments": files, "EnableMobileFileUpload": files,
		"EnableMobileFileDownload": files, "PostEditTimeLimit": "-1", "MaxNotificationsPerChannel": "1000",
		"TimeBetweenUserTypingUpdatesMilliseconds": "5000", "EnableUserTypingMessages": "true", "EnableChannelViewedMessages": "true",
		"MinimumHashtagLength": strconv.Itoa(parse.MinHashtag), "EnableEmojiPicker": "true", "EnableGifPicker": "false", "EnableCustomEmoji": "false",
		"EnableLinkPreviews": "false", "EnablePermalinkPreviews": "false", "EnableLatex": "true", "EnableInlineLatex": "true", "EnableSVGs": "false",
		"CustomUrlSchemes": "", "ManagedResourcePaths": "", "MaxMarkdownNodes": "0", "AllowSyncedDrafts": "false", "ScheduledPosts": "false",
		"PostPriority": "false", "PostAcknowledgements": "false", "AllowPersistentNotifications": "false", "UniqueEmojiReactionLimitPerPost": "50",
		"UsersStatusAndProfileFetchingPollIntervalMilliseconds": "3000", "ExperimentalChannelCategorySorting": "false",
		"DelayChannelAutocomplete": "false", "EnableJoinLeaveMessageByDefault": "true", "ExperimentalTimezone": "true",
		"ExperimentalEnablePostMetadata": "true", "ExperimentalViewArchivedChannels": "true", "ExperimentalPrimaryTeam": "",
		"ExperimentalEnableAutomaticReplies": "false", "ExperimentalEnableDefaultChannelLeaveJoinMessages": "true", "ExperimentalHideTownSquareinLHS": "false",
		"ExperimentalEnableClickToReply": "false", "ExperimentalEnableHardenedMode": "false", "ExperimentalSharedChannels": "false",
		"EnablePostUsernameOverride": "false", "EnablePostIconOverride": "false", "EnableIncomingWebhooks": "false", "EnableOutgoingWebhooks": "false",
		"EnableCommands": "false", "EnableOAuthServiceProvider": "false", "EnableUserAccessTokens": "false", "EnablePostSearch": "false",
		"EnablePublicLink": strconv.FormatBool(cfg.Files && cfg.PublicLinks), "EnableConfirmNotificationsToChannel": "true", "EnableEmailBatching": "false", "EnableEmailInvitations": "false",
		"EnablePreviewFeatures": "true", "EnableTutorial": "false", "EnableOnboardingFlow": "false", "EnableCrossTeamSearch": "false",
		"EnableTestAPI": "false", "EnableBanner": "false", "BannerText": "", "BannerColor": "", "BannerTextColor": "", "AllowBannerDismissal": "false",
		"EnableThemeSelection": "true", "AllowCustomThemes": "true", "AllowedThemes": "", "DefaultTheme": "", "FeedbackEmail": "", "SupportEmail": "",
		"SendEmailNotifications": "false", "SendPushNotifications": "false", "RequireEmailVerification": "false", "RestrictDirectMessage": "any",
		"RestrictCreationToDomains": "", "MaxUsersPerTeam": strconv.Itoa(core.MaxUsersPerTeam), "ShowEmailAddress": "true", "ShowFullName": "true",
		"ExtendSessionLengthWithActivity": "false", "SessionLengthWebInHours": "720", "ThreadAutoFollow": "true", "WranglerPermittedWranglerRoles": "",
		"PersistentNotificationMaxCount": "6", "PersistentNotificationMaxRecipients": "5", "PersistentNotificationIntervalMinutes": "5",
		"EnableCustomGroups": "false", "DisableRefetchingOnBrowserFocus": "false", "DisableWakeUpReconnectHandler": "false", "EnableUserDeactivation": "false",
	})
	return Settings{limited: limited, full: full, VersionID: api.Version + "." + build + "." + hashOf(full) + ".false"}
}

func hashOf(m map[string]string) string {
	h := sha256.New()
	for _, k := range slices.Sorted(maps.Keys(m)) {
		h.Write([]byte(k + "\x00" + m[k] + "\x00"))
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// zones has the names of the time zones that clients offer.
var zones = []string{
	"Africa/Cairo", "Africa/Casablanca", "Africa/Johannesburg", "Africa/Lagos", "Africa/Nairobi", "America/Anchorage",
	"America/Argentina/Buenos_Aires", "America/Bogota", "America/Caracas", "America/Chicago", "America/Denver", "America/Halifax",
	"America/Lima", "America/Los_Angeles", "America/Mexico_City", "America/New_York", "America/Phoenix", "America/Santiago",
	"America/Sao_Paulo", "America/St_Johns", "America/Toronto", "America/Vancouver", "Asia/Baghdad", "Asia/Bangkok", "Asia/Colombo",
	"Asia/Dhaka", "Asia/Dubai", "Asia/Ho_Chi_Minh", "Asia/Hong_Kong", "Asia/Jakarta", "Asia/Jerusalem", "Asia/Kabul", "Asia/Karachi",
	"Asia/Kathmandu", "Asia/Kolkata", "Asia/Kuala_Lumpur", "Asia/Manila", "Asia/Riyadh", "Asia/Seoul", "Asia/Shanghai", "Asia/Singapore",
	"Asia/Taipei", "Asia/Tashkent", "Asia/Tehran", "Asia/Tokyo", "Asia/Yangon", "Atlantic/Azores", "Atlantic/Reykjavik", "Australia/Adelaide",
	"Australia/Brisbane", "Australia/Darwin", "Australia/Perth", "Australia/Sydney", "Europe/Amsterdam", "Europe/Athens", "Europe/Berlin",
	"Europe/Brussels", "Europe/Bucharest", "Europe/Budapest", "Europe/Copenhagen", "Europe/Dublin", "Europe/Helsinki", "Europe/Istanbul",
	"Europe/Kyiv", "Europe/Lisbon", "Europe/London", "Europe/Madrid", "Europe/Moscow", "Europe/Oslo", "Europe/Paris", "Europe/Prague",
	"Europe/Rome", "Europe/Stockholm", "Europe/Vienna", "Europe/Warsaw", "Europe/Zurich", "Pacific/Auckland", "Pacific/Fiji",
	"Pacific/Honolulu", "UTC",
}
