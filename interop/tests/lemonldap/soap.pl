# What a handler and a portal do with the session class of LemonLDAP::NG: a session with awkward values, read and written back three
# times, listed, and ended. Says what is not as it must be, and `done`.
use strict;
use warnings;
use Lemonldap::NG::Common::Apache::Session::SOAP;
use Lemonldap::NG::Common::Crypto;
my ($url, $key) = @ARGV;
# Where the class finds the cipher, in a handler.
BEGIN { $INC{'Lemonldap/NG/Handler/Main.pm'} = 1 }
sub Lemonldap::NG::Handler::Main::tsv { return { cipher => Lemonldap::NG::Common::Crypto->new($key) } }
my $class = 'Lemonldap::NG::Common::Apache::Session::SOAP';
my $args = { proxy => $url, User => 'portal', Password => 'open sesame' };
my %values = (
    uid => 'dwho', octets => "D\xc3\xb6ctor", control => "a\x01b", truth => 'TRUE', untruth => 'FALSE', zero => '007', empty => '',
    signed => '+5', float => '1.50', date => '2026-01-02', uri => 'http://x/?a&b', spaces => "  x\t\r\n ",
    one => ['a'], none => [], nested => [ { k => [ 1, 2 ] }, 'x' ], hash => { n => 1, k => 'v' }, nothing => {},
    odd => { '1 bad key' => 'v', 'x:y' => { z => 'w' } }, large => 'x' x 65536,
);
$values{"key$_"} = "value $_" for 1 .. 180;
sub show { my $v = shift; ref $v eq 'HASH' ? '{' . join(',', map { "$_=" . show($v->{$_}) } sort keys %$v) . '}'
    : ref $v eq 'ARRAY' ? '[' . join(',', map { show($_) } @$v) . ']' : defined $v ? $v : 'undef' }
tie(my %new, $class, undef, $args);
my $id = $new{_session_id};
$new{$_} = $values{$_} for keys %values;
untie %new;
for my $turn (1 .. 3) {
    tie(my %again, $class, $id, $args);
    for my $name (sort keys %values) {
        my ($is, $was) = (show($again{$name}), show($values{$name}));
        $was = 'true' if $name eq 'untruth';
        $was = 'true' if $name eq 'truth';
        print "turn $turn: $name is ", substr($is, 0, 80), " and was ", substr($was, 0, 80), "\n" if $is ne $was;
    }
    $again{_lastSeen} = $turn;
    untie %again;
}
my $all = $class->get_key_from_all_sessions($args);
print "not in the list\n" unless $all->{$id} and $all->{$id}->{uid} eq 'dwho';
my $some = $class->get_key_from_all_sessions($args, ['uid', '_utime']);
print "more than was asked for\n" if join(',', sort keys %{ $some->{$id} }) ne '_utime,uid';
tie(my %last, $class, $id, $args);
tied(%last)->delete;
untie %last;
my $found = eval { tie(my %gone, $class, $id, $args); 1 };
print "it came back\n" if $found;
print "done\n";
